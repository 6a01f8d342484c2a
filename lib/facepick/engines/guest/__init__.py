"""Guest engines: programs and services that know one face, made right for several people."""
