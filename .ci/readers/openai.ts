// Lines of training files, in the types of OpenAI's own client.
import type { ChatCompletionAssistantMessageParam, ChatCompletionFunctionTool, ChatCompletionMessageParam } from 'openai/resources/chat/completions'

export interface Chat {
  messages: ChatCompletionMessageParam[]
  tools?: ChatCompletionFunctionTool[]
  parallel_tool_calls?: boolean
}

export interface Preference {
  input: Chat
  preferred_output: ChatCompletionAssistantMessageParam[]
  non_preferred_output: ChatCompletionAssistantMessageParam[]
}
