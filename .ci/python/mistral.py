"""python mistral.py FILE DEFINITIONS holds lines of fine-tuning data against every validator of mistral-common, as
mistral-finetune does. For each line of FILE it prints "" or why a validator refuses it; then, for each line of DEFINITIONS, an
array of tools, the same of the tools alone. Each is a JSON string on a line."""

import json
import sys

from mistral_common.protocol.instruct.messages import FinetuningAssistantMessage, SystemMessage, ToolMessage, UserMessage
from mistral_common.protocol.instruct.tool_calls import Function, Tool
from mistral_common.protocol.instruct import validator

MESSAGES = {"system": SystemMessage, "user": UserMessage, "assistant": FinetuningAssistantMessage, "tool": ToolMessage}
VALIDATORS = [
    getattr(validator, name)(validator.ValidationMode.finetuning)
    for name in sorted(vars(validator))
    if name == "MistralRequestValidator" or name.startswith("MistralRequestValidatorV")
]


def read(line):
    record = json.loads(line)
    messages = [MESSAGES[m["role"]].model_validate(m) for m in record["messages"]]
    tools = [Tool.model_validate(t) for t in record.get("tools", [])]
    for v in VALIDATORS:
        v.validate_messages(messages)
        v._validate_tools(tools)


def read_tools(line):
    tools = [Tool(function=Function.from_openai(t["function"])) for t in json.loads(line)]
    VALIDATORS[0]._validate_tools(tools)


assert len(VALIDATORS) > 3, VALIDATORS
for path, check in zip(sys.argv[1:], [read, read_tools]):
    for line in open(path, encoding="utf-8"):
        reason = ""
        try:
            check(line)
        except Exception as e:
            reason = f"{type(e).__name__}: {e}" or "refused"
        print(json.dumps(reason))
