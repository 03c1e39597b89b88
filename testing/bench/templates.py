"""Fills `{name}` placeholders in commands and configuration files; braces around anything unknown stay as they are."""
import re

from places import CERTS, HERE, WWW


def fill(template, **values):
    """The text with every `{name}` that has a value replaced by it."""
    return re.sub(r'\{(\w+)\}', lambda match: str(values.get(match[1], match[0])), template)


def write_config(name, work, **values):
    """Fills conf/NAME into the folder `work` and gives the path of the result."""
    path = work / name
    path.write_text(fill((HERE / 'conf' / name).read_text(), work=work, certs=CERTS, www=WWW, **values))
    return path
