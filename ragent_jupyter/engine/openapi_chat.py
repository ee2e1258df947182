"""Rows of the OpenAPI description for the assistant's routes."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.domain import wire_chat as w
from ragent_jupyter.domain.chat import MemoryRule, Session, ToolPart
from ragent_jupyter.domain.wire_wild import InstallSkill, PutSkill, Skill, SkillsReply

CHAT_ROWS: list[tuple[str, str, str, Any, int, Any]] = [
    ("get", "sessions", "Chats, newest first; q searches what was said.", None, 200, w.SessionsReply),
    ("post", "sessions", "Begin a chat, or a copy of one (fork).", w.CreateSession, 201, Session),
    ("get", "sessions/options", "What a composer offers.", None, 200, w.ChatOptions),
    ("get", "sessions/suggest", "Hits for an @ that is being typed.", None, 200, w.SuggestReply),
    ("get", "sessions/{session}", "Its newest turns with their parts.", None, 200, w.SessionReply),
    ("patch", "sessions/{session}", "Title, mode, model, notebook, archive.", w.PatchSession, 200, Session),
    ("delete", "sessions/{session}", "Put it into the archive.", None, 200, Session),
    ("post", "sessions/{session}/messages", "Say something.", w.SendMessage, 202, w.SendReply),
    ("put", "sessions/{session}/queue", "Edit, remove, reorder what waits.", w.ChangeQueue, 200, Session),
    ("post", "sessions/{session}/stop", "Stop the turn under way.", None, 200, Session),
    ("post", "sessions/{session}/try_now", "Ask the provider again at once.", None, 200, Session),
    ("post", "sessions/{session}/approvals/{approval}", "A person's answer.", w.AnswerApproval, 200, ToolPart),
    ("post", "sessions/{session}/attachments", "Upload a file (raw body, ?name=).", None, 201, w.AttachmentReply),
    ("get", "sessions/{session}/stream", "Its events as NDJSON until the turn is over.", None, 200, dict[str, Any]),
    ("get", "sessions/{session}/export", "format=md or ipynb.", None, 200, None),
    ("get", "sessions/{session}/turns/{turn}/provenance", "What the model saw.", None, 200, w.ProvenanceReply),
    ("post", "sessions/{session}/turns/{turn}/undo", "Take its edits back.", None, 200, dict[str, Any]),
    ("get", "attachments/{attachment}", "The bytes of an attachment.", None, 200, None),
    ("get", "grants", "What is allowed without being asked for.", None, 200, w.GrantsReply),
    ("delete", "grants/{grant}", "Ask for it again from now on.", None, 200, dict[str, Any]),
    ("get", "plans", "Plans and how far they are.", None, 200, w.PlansReply),
    ("get", "memory", "The rules that agents heed, and those proposed.", None, 200, w.RulesReply),
    ("post", "memory", "Add a rule.", w.PutRule, 201, MemoryRule),
    ("get", "memory/{rule}", "One rule.", None, 200, MemoryRule),
    ("patch", "memory/{rule}", "Edit it, switch it, approve or refuse it.", w.PutRule, 200, MemoryRule),
    ("delete", "memory/{rule}", "Forget it.", None, 200, MemoryRule),
    ("post", "memory/import", "Rules of a MEMORY.md.", w.ImportRules, 200, w.RulesReply),
    ("get", "memory/export", "A MEMORY.md.", None, 200, None),
    ("get", "skills", "Prompt templates; q searches them.", None, 200, SkillsReply),
    ("post", "skills", "A new one, under the name that its front matter says.", PutSkill, 201, Skill),
    ("post", "skills/install", "Those of a folder or a git repository.", InstallSkill, 201, SkillsReply),
    ("get", "skills/{skill}", "One, with its text.", None, 200, Skill),
    ("put", "skills/{skill}", "This project's own text of it.", PutSkill, 200, Skill),
    ("delete", "skills/{skill}", "Back to what is shipped; else it is removed.", None, 200, SkillsReply),
    ("get", "keys", "Which keys are set; never a key.", None, 200, w.KeysReply),
    ("put", "keys", "Set a key, or forget it (null).", w.PutKey, 200, w.KeysReply),
    ("get", "models", "Roles, models, prices.", None, 200, w.ModelsReply),
    ("put", "models", "Choose a role's model; override prices.", w.PutModels, 200, w.ModelsReply),
    ("post", "models/test", "Try an endpoint: streams, tools, usage.", w.TestModel, 200, w.Probe),
    ("get", "usage", "Tokens and money by day, role and model.", None, 200, w.UsageReply),
]
