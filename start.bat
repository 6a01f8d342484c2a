@echo off
rem facepick: opens the app; with arguments it is the command line (start.bat people clip.mp4).
rem
rem Finds a Python and hands over to standalone.py, which does the rest: an installed one of 3.10
rem to 3.13, else one that uv keeps (https://docs.astral.sh/uv/), which is fetched once.
rem
rem No block in parentheses uses a path: a folder such as "facepick (1)" would end it early.
setlocal
set "HERE=%~dp0"
set "PYTHON="

call :try py -3.13
call :try py -3.12
call :try py -3.11
call :try py -3.10
call :try python
call :try python3
if defined PYTHON goto found

where uv >nul 2>nul
if not %ERRORLEVEL%==0 goto nothing
call :uv
if defined UVPYTHON goto kept
echo facepick: no Python 3.10 to 3.13 is on this machine; uv fetches one.
uv python install 3.12
if not %ERRORLEVEL%==0 goto unfetched
call :uv
if not defined UVPYTHON goto unfetched

:kept
"%UVPYTHON%" "%HERE%standalone.py" %*
goto end

:found
%PYTHON% "%HERE%standalone.py" %*
goto end

:unfetched
echo facepick: uv could not fetch Python. Start again when there is a connection, or install Python 3.12 yourself. 1>&2
call :fail
goto end

:nothing
echo facepick: neither Python 3.10 to 3.13 nor uv is on this machine. Install one of them, https://www.python.org/downloads/ or https://docs.astral.sh/uv/, then start again. 1>&2
call :fail
goto end

:end
set "CODE=%ERRORLEVEL%"
rem Started by a double click: what went wrong must stay to be read.
if not "%CODE%"=="0" if "%~1"=="" pause
exit /b %CODE%

rem The first command that is a fitting Python; the Store's stand-in of python.exe fails here.
rem (Programs that crash give a negative code, which "if errorlevel 1" takes for success.)
:try
if defined PYTHON exit /b 0
%* -c "import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))" >nul 2>nul
if %ERRORLEVEL%==0 set "PYTHON=%*"
exit /b 0

rem The Python that uv keeps, if it keeps one.
:uv
set "UVPYTHON="
for /f "usebackq delims=" %%P in (`uv python find --managed-python 3.12 2^>nul`) do set "UVPYTHON=%%P"
exit /b 0

:fail
exit /b 3
