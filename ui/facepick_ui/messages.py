"""Every word that the tab shows, in English and Simplified Chinese.

Settings bring their own English label and help (`facepick.settings.Ui`); their Chinese words are
found by the English label.  Errors of the core bring an English sentence and a hint; in Chinese
a headline, a sentence and a hint by their class stand above it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from facepick import errors
from facepick.models.spec import ModelSpec
from facepick.notices import Notice, sentence_from
from facepick_ui import chinese

__all__ = [
    "LANGUAGES",
    "choice_label",
    "error_html",
    "failure_html",
    "language_of",
    "model_purpose",
    "notice_text",
    "setting_help",
    "setting_label",
    "text",
]

LANGUAGES = {"en": "English", "zh": "简体中文"}

_WORDS: dict[str, tuple[str, str]] = {
    # The page.
    "title": ("facepick", "facepick"),
    "tagline": (
        "Pick a person in a video. Change only that person.",
        "在视频中选一个人，只改变这个人。",
    ),
    "language": ("Language", "语言"),
    "advanced": ("Advanced", "高级设置"),
    "step_video": ("Video", "视频"),
    "step_people": ("People", "人物"),
    "step_what": ("What to do", "要做什么"),
    "step_render": ("Render", "生成"),
    # 1 Video.
    "video": ("Drop a video here", "把视频拖到这里"),
    "scan": ("Find the people", "查找人物"),
    "scan_again": ("Scan again", "重新扫描"),
    "stop": ("Stop", "停止"),
    "demo": ("Try the example clip", "试用示例片段"),
    "path": ("Path of a video on this machine", "本机上的视频路径"),
    "path_none": (
        "No folder is open to this page yet; start it with --allow FOLDER.",
        "此页面还没有可用的文件夹；启动时请加 --allow 文件夹。",
    ),
    "path_help": ("Allowed folders: {roots}", "允许的文件夹：{roots}"),
    "open": ("Open", "打开"),
    "no_video": ("No video yet", "还没有视频"),
    "no_video_help": (
        "Upload the video on the left. It stays on this machine.",
        "请在左侧上传视频。视频只保存在本机。",
    ),
    "proxy_making": (
        "Browsers cannot play this file, or it is too large to be copied, so a small copy is made "
        "to look at. You can go on meanwhile: all work is done on the file itself.",
        "浏览器无法播放此文件，或文件过大不便复制，因此正在生成一个便于观看的小副本。"
        "期间可以继续操作：所有处理都在原文件上进行。",
    ),
    "proxy_shown": (
        "What plays here is a small copy; the file itself ({codec}) is as it was, and all work is "
        "done on it.",
        "这里播放的是小副本；原文件（{codec}）保持不变，所有处理都在原文件上进行。",
    ),
    "proxy_none": ("Nothing to play here", "此处无法播放"),
    "proxy_none_help": (
        "The small copy was not finished. Everything else works without it.",
        "小副本未完成，其他功能不受影响。",
    ),
    "proxy_make": ("Make a small copy to play", "生成便于播放的小副本"),
    "fact_size": ("Picture", "画面"),
    "fact_length": ("Length", "时长"),
    "fact_rate": ("Frames", "帧"),
    "fact_sound": ("Sound", "声音"),
    "fact_file": ("File", "文件"),
    "fact_no_sound": ("none", "无"),
    "fact_rate_about": ("about {rate} per second", "约每秒 {rate} 帧"),
    "fact_hdr": ("HDR", "HDR"),
    "fact_unknown": ("not stated in the file", "文件未说明"),
    # 2 People.
    "people": ("Everyone in this video: click to pick", "视频中的所有人：点击选择"),
    "people_empty": ("Nobody to show yet", "还没有人物"),
    "people_empty_help": (
        "Open a video and press “Find the people”. Everyone who appears in it shows up here.",
        "打开视频并点击“查找人物”，视频中出现的每个人都会显示在这里。",
    ),
    "people_none": ("Nobody was found in this video", "在这个视频中没有找到人物"),
    "people_none_help": (
        "Faces may be too small or turned away. Under “Advanced” above, look for smaller faces "
        "and scan again.",
        "人脸可能太小或没有朝向镜头。请在上面的“高级设置”中降低最小人脸尺寸后重新扫描。",
    ),
    "pick_hint": (
        "Click everyone you want to change. Nobody else will be touched.",
        "点击要改变的人，其他人不会被改动。",
    ),
    "picked_count": ("{n} picked", "已选 {n} 人"),
    "pick_all": ("Pick everyone", "全选"),
    "pick_none": ("Pick nobody", "全不选"),
    "seconds": ("{s} s", "{s} 秒"),
    "sure": ("{p} % sure", "把握 {p} %"),
    "unsure": ("unsure", "不确定"),
    "timeline": ("Who is on screen when", "谁在何时出现"),
    "timeline_hint": ("Click to look at that moment.", "点击可查看该时刻。"),
    "time": ("Look around (seconds)", "浏览（秒）"),
    "frame_place": ("frame {frame} · shot {shot}", "第 {frame} 帧 · 镜头 {shot}"),
    "frame_nobody": ("none of the picked people is on screen here", "所选人物此刻不在画面中"),
    "edit": ("Correct the list", "修正人物列表"),
    "edit_help": (
        "Corrections are kept and survive another scan of the same video.",
        "修正会被保存，重新扫描同一视频后仍然有效。",
    ),
    "name": ("Name of the picked person", "所选人物的名字"),
    "rename": ("Rename", "重命名"),
    "remember": ("Remember this person", "记住此人"),
    "remembered": ("{name} is remembered", "已记住 {name}"),
    "remembered_help": (
        "The next scans call this person by that name, in this and in other videos.",
        "以后扫描这个或其他视频时会用这个名字称呼此人。",
    ),
    "name_needed": (
        "Write the name of this person first.",
        "请先填写此人的名字。",
    ),
    "known": ("People known by name", "已记住的人物"),
    "known_hint": (
        "Every scan on this machine calls them by these names.",
        "本机上的每次扫描都会使用这些名字。",
    ),
    "known_faces": ("{n} faces", "{n} 张脸"),
    "known_one_face": ("1 face", "1 张脸"),
    "known_more": ("and {n} more", "还有 {n} 人"),
    "forget": ("Forget", "忘记"),
    "merge": ("These are one person", "他们是同一个人"),
    "by_photo": ("Pick by a photo", "用照片查找"),
    "join_likely": ("Join with whom it may be", "与可能的人合并"),
    "nobody_likely": (
        "Pick one unsure face that says whom it may be.",
        "请选择一张标注了“可能是谁”的不确定人脸。",
    ),
    "ignore": ("Take off the list", "从列表中移除"),
    "unignore": ("Put everyone back on the list", "恢复移除的人物"),
    "tracks_show": ("Show every appearance", "显示每次出现"),
    "tracks": ("Appearances: click those of somebody else", "每次出现：点击属于另一个人的"),
    "split": ("The marked ones are somebody else", "标记的是另一个人"),
    "undo": ("Undo the last correction", "撤销上次修正"),
    "unsure_people": (
        "Unsure: untouched unless you pick them",
        "不确定：除非选中，否则不会改动",
    ),
    "crowd": (
        "Bystanders: a few blurred or far frames each",
        "路人：各自只有几帧模糊或很远的画面",
    ),
    "may_be": ("may be {who}", "可能是{who}"),
    "everyone_but": (
        "Hide everyone but the picked - unsure people and passers-by, too",
        "隐藏所选人物以外的所有人（包括不确定的人和路人）",
    ),
    "all_but": ("everyone but {who}", "除{who}以外的所有人"),
    "one_needed": ("Pick exactly one person first.", "请先只选一个人。"),
    "two_needed": ("Pick the two or more that are one person first.", "请先选择两个或更多同一人。"),
    "some_needed": ("Pick somebody first.", "请先选择人物。"),
    "marks_needed": (
        "Show the appearances and click those of somebody else first.",
        "请先显示每次出现，再点击属于另一个人的。",
    ),
    "nothing_to_undo": ("There is nothing to undo.", "没有可撤销的修正。"),
    "explain": ("Why the same person?", "为什么是同一个人？"),
    "explain_hint": (
        "Compare the main faces of two photos, step by step, as the scan does.",
        "按扫描时的步骤逐步比较两张照片中的主要人脸。",
    ),
    "explain_a": ("One photo", "一张照片"),
    "explain_b": ("Another photo", "另一张照片"),
    "explain_run": ("Compare", "比较"),
    "explain_needed": ("Add two photos first.", "请先添加两张照片。"),
    "explain_busy": (
        "Another comparison is running. Try again in a moment.",
        "正在进行另一个比较，请稍后再试。",
    ),
    "explain_running": ("Comparing the two photos ...", "正在比较两张照片……"),
    "explain_same": ("The same person", "同一个人"),
    "explain_different": ("Different people", "不同的人"),
    "explain_same_help": (
        "Distance {distance}. Up to the threshold of {threshold} it is one person.",
        "距离 {distance}：不超过阈值 {threshold} 的两张脸被视为同一个人。",
    ),
    "explain_different_help": (
        "Distance {distance}. Beyond the threshold of {threshold} it is somebody else.",
        "距离 {distance}：超过阈值 {threshold} 的两张脸被视为不同的人。",
    ),
    "explain_sheet": ("Every step of the comparison", "比较的每个步骤"),
    # 3 What to do.
    "what_empty": ("Pick somebody first", "请先选择人物"),
    "what_empty_help": (
        "Then say here what shall happen to them.",
        "然后在这里说明要对其做什么。",
    ),
    "for_people": ("For {people}", "对 {people}"),
    "flow": ("What to do", "要做什么"),
    "flow_hide": ("Hide", "遮挡"),
    "flow_lipsync": ("Lip sync", "口型同步"),
    "flow_swap": ("Face swap", "换脸"),
    "style": ("Style", "方式"),
    "speech": ("New speech of this person", "此人的新语音"),
    "speech_hint": (
        "Everyone picked says the same. For a conversation, pick one person, add the speech, press "
        "“Add, and pick another person”, and go on with the next; or give a list of lines.",
        "所选的人会说同样的话。要做对话，请先选一个人并添加语音，点击“加入列表，再选另一人”后继续下一个人；"
        "也可以提供台词列表。",
    ),
    "record": ("Or record it here (needs the microphone)", "或在此录音（需要麦克风）"),
    "recording": ("Recording", "录音"),
    "speech_text": ("What is said (optional)", "语音内容（可选）"),
    "speech_text_help": (
        "The words of the speech make the lips of the built-in engine fit better.",
        "填写语音的文字后，内置引擎的口型更准确。",
    ),
    "phones": ("When each sound is said (optional)", "音素时间（可选）"),
    "phones_help": (
        "Best of all, if you have it: a file of times from an aligner or a speech synthesiser "
        "(TextGrid, CTM, .lab, .pho, JSON). The lips then follow it instead of guessing.",
        "如果有，效果最好：对齐工具或语音合成器给出的时间文件（TextGrid、CTM、.lab、.pho、JSON）。"
        "口型将直接按其时间，而不再猜测。",
    ),
    "phones_given": ("times of its sounds", "含音素时间"),
    "timing": ("Start, trim, several lines", "开始时间、裁剪、多条台词"),
    "speech_start": ("Starts at (seconds)", "开始于（秒）"),
    "speech_start_help": ("On the clock of the video.", "以视频时间为准。"),
    "speech_offset": ("Skip the first (seconds)", "跳过语音开头（秒）"),
    "speech_offset_help": ("Of the speech; its beginning is left out.", "略去语音开头的这一段。"),
    "speech_duration": ("Then take (seconds)", "取用语音时长（秒）"),
    "speech_duration_help": ("Of the speech; 0 takes all of it.", "0 表示全部。"),
    "lines_hint": (
        "Several lines, of several people too: subtitles (SRT, VTT, ASS) with names, as in “Anna: "
        "Hello”, or a JSON list, and its sounds, all at once. It replaces the speech above.",
        "多条台词（可含多人）：请同时上传带名字的字幕（SRT、VTT、ASS，如“李明：你好”）或 JSON "
        "列表，及其声音。它会取代上面的语音。",
    ),
    "lines": ("List of lines and its sounds", "台词列表及其声音"),
    "lines_one_list": (
        "Upload exactly one list (.srt, .vtt, .ass or .json) together with its sound files.",
        "请上传一个列表（.srt、.vtt、.ass 或 .json）及其声音文件。",
    ),
    "sound_hint": (
        "Where the original is replaced, its music is off, too. Lowered, it stays; a stem of music "
        "and effects keeps it whole.",
        "替换原声处，音乐也会消失。选择压低可保留音乐；提供配乐与音效轨则完整保留。",
    ),
    "sound_files": ("Finished soundtrack, music and effects", "成品混音、配乐与音效"),
    "sound_files_hint": (
        "A finished soundtrack is the sound of the result as it is; nothing else of this card is "
        "heard then, and the speech above only moves the lips. Without speech the lips follow it.",
        "成品混音会原样成为结果的声音，此卡片中的其他声音不再听到，上面的语音只用于口型；"
        "未提供语音时，口型跟随成品混音。",
    ),
    "speech_says": ("Speech", "语音"),
    "notices": ("Please note", "请注意"),
    "notices_more": ("and {n} more", "另有 {n} 项"),
    "notices_count": ("{n} notes", "{n} 条提示"),
    "notices_one": ("1 note", "1 条提示"),
    "lines_more": ("and {n} more lines", "另有 {n} 条台词"),
    "source": ("Photos of the new face", "新面孔的照片"),
    "source_hint": (
        "Whose face shall be put in? Drop photos here, several if you have them, or take somebody "
        "from the list.",
        "要换成谁的脸？把照片拖到这里（可多张），或从列表中选择。",
    ),
    "source_people": ("In this video", "此视频中"),
    "source_saved": ("Saved faces", "已保存的面孔"),
    "source_cast": ("Known by name", "已记住的人物"),
    "source_none": ("No face yet.", "还没有面孔。"),
    "source_faces": ("Click the faces to use.", "点击要使用的面孔。"),
    "source_chosen": (
        "{n} chosen; several of one person give a better result.",
        "已选 {n} 张；同一人的多张照片效果更好。",
    ),
    "source_too_small": ("too small", "太小"),
    "source_covered": ("covered", "被遮挡"),
    "source_turned": ("turned away", "侧脸"),
    "source_too_small_help": (
        "too small; use a photo in which the face is larger.",
        "太小，请使用人脸更大的照片。",
    ),
    "source_covered_help": (
        "covered or not clear enough; use another photo.",
        "被遮挡或不够清晰，请使用另一张照片。",
    ),
    "source_turned_help": (
        "turned to the side; use a photo from the front.",
        "侧脸，请使用正面照片。",
    ),
    "source_no_face_help": (
        "shows no face; use a photo that shows the face from the front.",
        "没有人脸，请使用正面照片。",
    ),
    "source_place": ("{file}, face {n}", "{file} 第 {n} 张脸"),
    "source_refused": ("These cannot be used", "以下无法使用"),
    "source_too_many": (
        "Twenty photos at most: clear the faces and take the best ones.",
        "最多二十张照片：请清除后选用最好的几张。",
    ),
    "source_name": ("Name for the chosen faces", "所选面孔的名称"),
    "source_save": ("Save", "保存"),
    "source_name_needed": ("Write a name for these faces first.", "请先填写名称。"),
    "source_kept": ("{name} is saved", "已保存 {name}"),
    "source_clear": ("Clear the faces", "清除面孔"),
    "stage_faces": ("Looking for faces", "正在查找人脸"),
    "consent_note": ("Who agreed, and where it is written (optional)", "授权人及授权依据（可选）"),
    "consent_note_help": (
        "Added to the statement and kept with the result.",
        "会附在声明之后，与结果一起保存。",
    ),
    "consent": (
        "I have the right to use both faces in this way.",
        "我有权以这种方式使用这两张面孔。",
    ),
    "consent_help": (
        "Kept with the result. Needed once for every person.",
        "声明会与结果一起保存，每个人只需一次。",
    ),
    "keep": ("Add, and pick another person", "加入列表，再选另一人"),
    "assignments": ("What will happen", "将要进行的修改"),
    "col_who": ("Who", "人物"),
    "col_when": ("When", "时间"),
    "col_what": ("What", "修改"),
    "col_how": ("How", "方式"),
    "current": ("current choice", "当前选择"),
    "remove": ("Remove", "移除"),
    "licence_note": (
        "Licence: {licence}. Not for commercial use.",
        "许可：{licence}。不可用于商业用途。",
    ),
    "models_title": ("A model file is missing", "缺少模型文件"),
    "models_needed": ("A model file is missing", "缺少模型文件"),
    "models_needed_help": (
        "It is shown at the top of the page.",
        "详情见页面上方。",
    ),
    "models_go_on": (
        "When it is here, facepick goes on with what you asked for.",
        "下载完成后，将自动继续刚才的操作。",
    ),
    "models_licence": ("licence: {licence}", "许可：{licence}"),
    "models_no_commerce": ("not for commercial use", "不可商用"),
    "models_see": ("Where it is described", "查看来源"),
    "models_folder": (
        "Files without a button are yours to bring. Put them into",
        "没有下载按钮的文件需要自备，请放入",
    ),
    "models_folder_also": (
        "Without internet, put the file into",
        "无法联网时，可将文件放入",
    ),
    "models_get": ("Get it", "获取"),
    "get_models": ("Get the models", "获取模型"),
    "get_models_size": ("Get the models ({size} MB)", "获取模型（{size} MB）"),
    "models_later": ("Not now", "以后再说"),
    "models_stopped_help": (
        "What has come is kept; the next try goes on from there.",
        "已下载的部分会保留，下次从断点继续。",
    ),
    "models_failed": ("The model could not be fetched", "无法下载模型"),
    "models_failed_help": (
        "Check the network or the mirror and try again, or put the file there yourself.",
        "请检查网络或镜像设置后重试，或自行放入文件。",
    ),
    "copy": ("Copy", "复制"),
    "needs_file": ("(needs a file)", "（需要文件）"),
    "unusable_one": ("One more way needs a model file", "另有一种方式需要模型文件"),
    "unusable": ("{n} more ways need a model file", "另有 {n} 种方式需要模型文件"),
    "default_value": ("defaults", "默认"),
    # 4 Render.
    "preview": ("Preview here", "预览此处"),
    "preview_hard": ("Preview the hardest part", "预览最难部分"),
    "preview_help": (
        "Before and after, side by side, for a few seconds at the moment chosen above.",
        "在上面选定的时刻，并排显示修改前后的几秒钟。",
    ),
    "preview_seconds": ("Length of the preview (seconds)", "预览时长（秒）"),
    "preview_video": ("Preview: before | after", "预览：修改前 | 修改后"),
    "render": ("Render the video", "生成视频"),
    "render_empty": ("Ready when you are", "准备就绪"),
    "render_empty_help": (
        "Preview a few seconds, or render the whole video. You may close this page meanwhile.",
        "可以先预览几秒，或生成整个视频。期间可以关闭此页面。",
    ),
    "still_missing": ("Still missing: {what}", "还缺少：{what}"),
    "missing_people": ("somebody to change", "要改变的人"),
    "missing_speech": ("speech for {who}", "{who} 的语音"),
    "missing_face": ("a new face for {who}", "{who} 的新面孔"),
    "missing_consent": ("your statement for {who}", "关于 {who} 的声明"),
    "edit_entry": ("Edit", "修改"),
    "result": ("Result", "结果"),
    "original": ("Original", "原视频"),
    "download": ("Download: video and report", "下载：视频和报告"),
    "debug_sheets": (
        "Steps: crop, what the network saw, its result, mask, outcome",
        "步骤：裁剪、网络输入、网络结果、遮罩、最终效果",
    ),
    "report": ("What was changed", "修改了什么"),
    "jobs": ("Earlier jobs", "以前的任务"),
    "jobs_empty": ("Finished and stopped jobs are listed here.", "完成和停止的任务会列在这里。"),
    "job_show": ("Show", "显示"),
    "job_resume": ("Resume", "继续"),
    "job_stop": ("Stop", "停止"),
    "job_scan": ("Scan", "扫描"),
    "job_render": ("Render", "生成"),
    "job_preview": ("Preview", "预览"),
    "job_fetch": ("Model", "模型"),
    "state_queued": ("waiting", "等待中"),
    "state_running": ("running", "进行中"),
    "state_done": ("done", "完成"),
    "state_failed": ("failed", "失败"),
    "state_stopped": ("stopped", "已停止"),
    "state_interrupted": ("interrupted", "已中断"),
    "stage_queued": ("Starting", "正在启动"),
    "stage_wait": ("Waiting for other jobs", "正在等待其他任务"),
    "jobs_before": ("{n} wait before it", "前面还有 {n} 个在等待"),
    "stage_scan": ("Looking for people", "正在查找人物"),
    "stage_separate": ("Taking the voices out", "正在去除人声"),
    "stage_prepare": ("Preparing", "准备中"),
    "stage_render": ("Rendering", "正在生成"),
    "stage_publish": ("Writing the file", "正在写入文件"),
    "stage_fetch": ("Fetching a model", "正在下载模型"),
    "stage_read": ("Reading the file", "正在读取文件"),
    "stage_proxy": ("Making a small copy to play", "正在生成便于播放的小副本"),
    "frames_of": ("{done} of {total} frames", "{done} / {total} 帧"),
    "frames_done": ("{done} frames", "{done} 帧"),
    "eta": ("{time} left", "剩余 {time}"),
    "scan_done": ("Found {n} people in {frames} frames", "在 {frames} 帧中找到 {n} 人"),
    "scan_done_one": ("Found one person in {frames} frames", "在 {frames} 帧中找到 1 人"),
    "render_done": ("Done", "完成"),
    "preview_done": ("The preview is ready", "预览已就绪"),
    "stopped": ("Stopped", "已停止"),
    "stopped_help": (
        "Nothing is lost: press Resume under “Earlier jobs” to go on from here.",
        "没有丢失任何内容：在“以前的任务”中点击“继续”即可接着进行。",
    ),
    "scan_stopped_help": ("Press “Find the people” to start again.", "点击“查找人物”可重新开始。"),
    "interrupted": ("Interrupted", "已中断"),
    "failed": ("That did not work", "操作失败"),
    "already": ("This is running already.", "任务已在进行中。"),
    "report_changed": ("Changed", "已修改"),
    "report_closed": ("{n} of them: mouth closed", "其中 {n} 帧：合上嘴"),
    "report_left": ("Left alone", "未改动"),
    "report_frames": ("{n} frames", "{n} 帧"),
    "reason_absent": ("not on screen", "不在画面中"),
    "reason_too_small": ("too small", "太小"),
    "reason_profile": ("turned away", "侧脸"),
    "reason_occluded": ("covered by something", "被遮挡"),
    "reason_low_confidence": ("not certain who it is", "身份不确定"),
    "reason_silence": ("silent", "没有说话"),
    "report_marks": (
        "The result says in its metadata that it was edited.",
        "结果的元数据注明了内容经过编辑。",
    ),
    # The graphics card.
    "card_amounts": (
        "This needs about {need} GB of the graphics card; {free} of {total} GB are free.",
        "此任务约需 {need} GB 显存，当前空闲 {free} / {total} GB。",
    ),
    "card_fits": ("That is enough.", "显存足够。"),
    "card_short": (
        "It goes on in smaller steps; what does not fit runs on the processor, which is slower.",
        "将以更小的批次进行，放不下的部分在处理器上运行，速度较慢。",
    ),
    "card_crowded": (
        "There is little room on the graphics card",
        "显存不足",
    ),
    "card_unload": (
        "Unload the Stable Diffusion model, then start",
        "卸载 Stable Diffusion 模型后开始",
    ),
    "card_go": ("Start as it is (slower)", "直接开始（较慢）"),
    "card_unloaded": (
        "The Stable Diffusion model is off the card. Put it back before you make pictures.",
        "Stable Diffusion 模型已移出显存。生成图片前请先放回。",
    ),
    "card_back": ("Put the Stable Diffusion model back", "放回 Stable Diffusion 模型"),
    "card_busy": (
        "The WebUI is making pictures. Try again when it is done.",
        "WebUI 正在生成图片，请稍后再试。",
    ),
    # Errors.
    "open_video_first": ("Open a video first.", "请先打开视频。"),
    "scan_first": ("Find the people of this video first.", "请先查找视频中的人物。"),
    "pick_first": ("Pick the person to change first.", "请先选择要改变的人。"),
    "speech_needed": ("Add the new speech of this person.", "请添加此人的新语音。"),
    "source_needed": ("Choose the new face first: add a photo.", "请添加新面孔的照片并选择人脸。"),
    "consent_needed": (
        "Tick the statement that you have the right to use both faces.",
        "请勾选声明：你有权使用这两张面孔。",
    ),
    "reload": (
        "This page lost its connection. Reload it; your work is kept.",
        "页面连接已断开，请刷新页面，你的工作已保存。",
    ),
    "unexpected": (
        "Something went wrong inside facepick.",
        "facepick 内部出错。",
    ),
    "unexpected_help": (
        "Details are in the log of the program.",
        "详细信息在程序日志中。",
    ),
    "error_UserInputError": ("The request cannot be carried out", "无法执行该请求"),
    "error_VideoOpenError": ("This is not a video that can be read", "无法读取这个视频"),
    "error_NoAudioError": ("There is no sound in it", "其中没有声音"),
    "error_NoFacesFound": ("Nobody was found", "没有找到人物"),
    "error_SelectionError": ("That person cannot be picked", "无法选择该人物"),
    "error_SettingsError": ("A setting is out of range", "设置超出范围"),
    "error_ConsentRequired": ("A statement is needed", "需要声明"),
    "error_JobNotFound": ("That job is gone", "找不到该任务"),
    "error_JobConflict": ("That job cannot give it now", "该任务现在无法提供"),
    "error_TargetTaken": ("Something lies there already", "目标位置已有文件"),
    "error_SourceChanged": ("A file has changed", "文件已改变"),
    "error_DiskFull": ("The disk is too full", "磁盘空间不足"),
    "error_MissingModelError": ("A model file is missing", "缺少模型文件"),
    "error_ModelMismatchError": ("A model file is not the right one", "模型文件不正确"),
    "error_ToolError": ("A tool is missing or failed", "缺少工具或工具出错"),
    "error_OutOfMemory": ("Out of memory", "内存不足"),
    "error_EngineError": ("The face could not be changed", "无法改变人脸"),
    "error_RenderError": ("The video could not be written", "无法写入视频"),
    "error_FacepickError": ("That did not work", "操作失败"),
}


# By code: English where the page says it otherwise than the command line, and Chinese.
_NOTICES: dict[str, tuple[str, str]] = {
    "lines_unnamed": ("", "{file}：有 {lines} 条台词没有写名字，全部归 {who}。"),
    "lines_by_sight": (
        "{file}: who speaks the lines that name nobody ({lines}) was found out from the video.",
        "{file}：有 {lines} 条台词没有写名字，说话的人由视频判断。",
    ),
    "lines_unsure": (
        "{file}: of {lines} lines it is unsure who speaks, or nobody is seen to: they are heard, "
        "and no mouth is changed for them (at {times} s).",
        "{file}：有 {lines} 条台词不确定由谁说，或说话的人不在画面中：能听到，但不改动任何人的嘴"
        "（在 {times} 秒）。",
    ),
    "lines_of_others": (
        "",
        "{file}：有 {lines} 条台词被略去，听不到：所选人物中没有叫 {names} 的。"
        "请同时选择他们，或给人物改成这个名字。",
    ),
    "names_as_words": (
        "",
        "{file}：有 {lines} 条台词开头像名字（{names}），但没有人叫这个名字，因此当作台词内容。"
        "如果确是名字，请给人物改成这个名字，或在前面写成 [{first}]:。",
    ),
    "cues_shared": ("", "{file}：有 {lines} 条字幕包含多人的话，其时间按各人文字多少分配。"),
    "line_after_end": (
        "",
        "{file}：有 {lines} 条台词被略去，因为它们在视频结束（{end:.1f} 秒）之后才开始，"
        "第一条在 {start:.1f} 秒。",
    ),
    "line_off_screen": (
        "",
        "{start:.1f} 秒处的台词（{seconds:.1f} 秒）期间 {who} 不在画面中：听得到，但没有口型。",
    ),
    "speech_cut": (
        "The last {seconds:.1f} s of {file} are left out: the video ends before. Under “When the "
        "speech is longer” it can loop, bounce or freeze.",
        "{file} 的最后 {seconds:.1f} 秒将被略去：视频在此之前结束。可在“语音更长时”中选择循环、"
        "往返或定格来延长视频。",
    ),
    "music_drops_out": (
        "Where there is new speech, music and effects of the original are off with its voices. "
        "Choose “lowered where there is new speech”, or add a stem of music and effects.",
        "有新语音处，原声的音乐与音效会随人声一起关闭。可选择“有新语音处压低”，或提供配乐与音效轨。",
    ),
    "line_too_long": ("", "{file} 比 {start:.1f} 秒处的台词长 {seconds:.1f} 秒。"),
    "options_unused": (
        "{file} is the sound of the result as it is; the other choices of sound do not apply.",
        "{file} 原样成为结果的声音，其他声音选项不起作用。",
    ),
    "background_whole": (
        "{file} is heard in the original's place all the time; what is chosen for the original "
        "sound does not apply.",
        "{file} 全程代替原声，“原声”的选项不起作用。",
    ),
    "nothing_to_separate": (
        "The original is kept as it was; separating does not apply.",
        "原声保持原样，分离不起作用。",
    ),
    "sound_too_short": ("", "{file} 比视频短 {seconds:.1f} 秒，其余部分无声。"),
    "sound_too_long": ("", "{file} 的最后 {seconds:.1f} 秒将被略去：视频在此之前结束。"),
    "picture_stretched": (
        "",
        "画面播放时长变为 {factor:.2f} 倍，与语音同时结束。原声无法随之变化，因此不再听到。",
    ),
    "no_voice": ("", "{who}：此人出现时，语音中听不到人声。"),
    "no_mouths": (
        "",
        "{who}：没有改动，因为视频中此人的嘴出现太少或太小，无法学习。"
        "请使用更长的视频，或换一种方式。",
    ),
    "learnt_from_part": (
        "",
        "{who}：本次预览只学习了 {whole} 帧中的 {used} 帧（附近的和看得清楚的）；"
        "完整渲染会学习全部帧，选用的嘴形或光线可能略有不同。",
    ),
    "words_unread": (
        "",
        "{who}：有 {lines} 条台词的文字没有使用：读 {language} 需要 espeak-ng，而这里没有。"
        "请安装 espeak-ng，或运行 pip install espeakng-loader。",
    ),
    "words_spelled": (
        "",
        "{who}：有 {lines} 条台词的文字按字母来读：正确读出 {language} 需要 espeak-ng，而这里没有。"
        "请安装 espeak-ng，或运行 pip install espeakng-loader。",
    ),
    "words_unlike_sound": (
        "",
        "{who}：{start:.1f} 秒处台词的文字与声音不符，因此不使用，口型按声音来。"
        "请检查文字及其语言。",
    ),
    "words_too_few": (
        "",
        "{who}：{start:.1f} 秒处台词的文字有 {seconds:.1f} 秒声音对不上，那里的口型按声音来。",
    ),
    "phones_unknown": ("", "{file}：不认识 {names}，按声音处理（{all} 个音素中的 {phones} 个）。"),
    "phones_after_end": ("", "{file}：略去声音结束之后的 {phones} 项。"),
    "corrections_unread": (
        "",
        "无法读取此视频以前的修正（{problem}），因此没有应用。它们保留在 {kept}，"
        "较新版本的 facepick 也许能读取。",
    ),
    "stream_left_out": ("", "结果中没有原视频的 {what}。"),
    "source_damaged": ("", "{file}：跳过了原视频中 {parts} 处损坏的部分。"),
    "other": ("", "{text}"),
}


def notice_text(notice: Notice, language: str) -> str:
    """Say what people should know; plain text, not HTML."""
    english, chinese_words = _NOTICES.get(notice.code, ("", ""))
    words = chinese_words if language == "zh" else english
    return sentence_from(words, notice) if words else notice.sentence()


def language_of(browser: str | None, host: str | None) -> str:
    """``zh`` or ``en``: what the host says, else what the browser asks for first."""
    if host in LANGUAGES:
        return str(host)
    return "zh" if (browser or "").lower().startswith("zh") else "en"


def text(key: str, language: str, **values: Any) -> str:
    """Give the words called `key`, with `values` put in; plain text, not HTML."""
    english, chinese = _WORDS[key]
    return (chinese if language == "zh" else english).format(**values)


def has(key: str) -> bool:
    """Whether the catalogue has words called `key`."""
    return key in _WORDS


def model_purpose(model: ModelSpec, language: str) -> str:
    """Say what a model file is for."""
    if language == "zh":
        return chinese.PURPOSES.get(model.purpose, model.purpose)
    return model.purpose


def setting_label(label: str, language: str, unit: str = "") -> str:
    """Give the label of a setting, with its unit."""
    words = chinese.SETTINGS.get(label, (label, ""))[0] if language == "zh" else label
    if language == "zh" and unit:
        return f"{words}（{chinese.UNITS.get(unit, unit)}）"
    return f"{words} ({unit})" if unit else words


def setting_help(label: str, english: str, language: str) -> str:
    """Give the help of the setting called `label`."""
    if language == "zh" and english in chinese.HELPS:
        return chinese.HELPS[english]
    if language == "zh" and label in chinese.SETTINGS:
        return chinese.SETTINGS[label][1] or english
    return english


CHOICE_WORDS: dict[tuple[str, str], tuple[str, str]] = {
    ("Original sound", "replace"): ("replaced where there is new speech", "有新语音处替换"),
    ("Original sound", "duck"): ("lowered where there is new speech", "有新语音处压低"),
    ("Original sound", "keep"): ("kept, beside the new speech", "保留，与新语音同时听到"),
    ("Original sound", "mute"): ("off everywhere", "全程静音"),
    ("Separate", "none"): ("nothing", "不分离"),
    ("When the speech is longer", "remap"): ("play the picture slower", "画面放慢"),
}
"""Setting and choice -> words in English and Chinese, where the code says too little."""


def choice_label(choice: str, language: str, setting: str = "") -> str:
    """How a choice of a setting is shown."""
    if (setting, choice) in CHOICE_WORDS:
        return CHOICE_WORDS[setting, choice][language == "zh"]
    if language == "zh":
        return chinese.CHOICES.get(choice, choice)
    return choice.replace("_", " ")


def engine_label(label: str, language: str) -> str:
    """How an engine is shown."""
    if language == "zh":
        return chinese.ENGINES.get(label, (label, ""))[0]
    return label


def engine_help(label: str, english: str, language: str) -> str:
    """Say what an engine does."""
    if language == "zh" and label in chinese.ENGINES:
        return chinese.ENGINES[label][1]
    return english


_COMMAND = re.compile(
    r"\b(facepick (cast|doctor|evaluate|jobs|models|sources|ui)|standalone\.py)\b"
)


def without_commands(words: str) -> str:
    """Leave out the core's sentences that name a command: a page has none."""
    kept = [s for s in re.split(r"(?<=[.!?])\s+", words) if not _COMMAND.search(s)]
    return " ".join(kept)


def error_html(error: BaseException, language: str) -> str:
    """Draw what went wrong and what to do next.

    The core speaks English: in Chinese its words come as detail, after a sentence and a hint for
    the class of the error.
    """
    if not isinstance(error, errors.FacepickError):
        return problem_html(text("unexpected", language), (text("unexpected_help", language),))
    headline = next(
        text(f"error_{cls.__name__}", language)
        for cls in type(error).__mro__
        if has(f"error_{cls.__name__}")
    )
    said = (error.message, without_commands(error.hint))
    if language != "zh":
        return problem_html(headline, said)
    words = next(
        chinese.ERRORS[cls.__name__]
        for cls in type(error).__mro__
        if cls.__name__ in chinese.ERRORS
    )
    return problem_html(headline, words, detail=said)


def failure_html(error: str, exit_code: int | None, language: str, *, fetch: bool = False) -> str:
    """Why a job failed, of which only the sentence and the exit code are known.

    Args:
        fetch: whether it was to fetch models.
    """
    headline = text("models_failed" if fetch else "failed", language)
    error = without_commands(error)
    if language != "zh":
        return problem_html(headline, (error,))
    words = chinese.ERRORS[chinese.EXIT_CODES.get(exit_code or 5, "FacepickError")]
    if fetch:
        words = (text("models_failed_help", language), "")
    return problem_html(headline, words, detail=(error,))


def problem_html(
    headline: str, sentences: Iterable[str] = (), *, detail: Iterable[str] = ()
) -> str:
    """Draw a box that says what is wrong and what to do.

    Args:
        detail: English sentences of the core, below in small letters.
    """
    rest = " ".join(html.escape(s) for s in sentences if s)
    small = " ".join(html.escape(s) for s in detail if s)
    return (
        '<div class="facepick-box facepick-problem" role="alert">'
        f"<b>{html.escape(headline)}</b>{f'<p>{rest}</p>' if rest else ''}"
        f"{f'<small lang=en>{small}</small>' if small else ''}</div>"
    )
