"""The official OpenAI client does against the server what its own examples do."""

import json
import unittest

import openai
import pydantic

from serving import Server

KEY = "a-key-for-tests"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


class Person(pydantic.BaseModel):
    """What a structured answer is to be."""

    name: str
    age: int


class OpenAiClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server("--max-body", "1MB", key=KEY))
        cls.client = openai.OpenAI(base_url=f"{cls.server.url}/v1", api_key=KEY, max_retries=0)

    def chat(self, messages=QUESTION, **options):
        options = {"model": "smollm2", "temperature": 0, "max_tokens": 32, **options}
        return self.client.chat.completions.create(messages=messages, **options)

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["smollm2"])
        self.assertEqual(self.client.models.retrieve("smollm2").owned_by, "fourier-kv")

    def test_plain(self):
        answer = self.chat()
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_stream_is_the_plain_answer(self):
        plain = self.chat(seed=1, logprobs=True, top_logprobs=2)
        chunks = list(self.chat(seed=1, stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, plain.choices[0].message.content)
        self.assertEqual(chunks[-1].usage.completion_tokens, plain.usage.completion_tokens)
        told = plain.choices[0].logprobs.content
        self.assertTrue(text.startswith(told[0].token))
        self.assertLess(told[0].logprob, 0)
        self.assertEqual(told[0].top_logprobs[0].token, told[0].token)

    def test_several_answers_with_a_seed(self):
        def texts(seed):
            answer = self.chat(n=2, temperature=1.0, seed=seed, max_tokens=12, top_p=0.95)
            return [choice.message.content for choice in answer.choices]

        self.assertEqual(texts(3), texts(3))
        self.assertNotEqual(*texts(3))

    def test_stop_and_length(self):
        story = [{"role": "user", "content": "Count from one to ten in words."}]
        stopped = self.chat(story, stop=["three", "Three"], max_tokens=60).choices[0]
        self.assertNotIn("three", stopped.message.content.lower())
        self.assertEqual(self.chat(story, max_tokens=3).choices[0].finish_reason, "length")

    def test_completions(self):
        answer = self.client.completions.create(model="smollm2", prompt="The capital of France is", max_tokens=6, temperature=0)
        self.assertIn("Paris", answer.choices[0].text)
        pieces = self.client.completions.create(
            model="smollm2", prompt="The capital of France is", max_tokens=6, temperature=0, stream=True
        )
        self.assertEqual("".join(piece.choices[0].text for piece in pieces), answer.choices[0].text)

    def test_tools(self):
        question = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]
        answer = self.chat(question, tools=[WEATHER], tool_choice="required", max_tokens=80).choices[0]
        self.assertEqual(answer.finish_reason, "tool_calls")
        call = answer.message.tool_calls[0]
        self.assertEqual(call.function.name, "get_weather")
        arguments = json.loads(call.function.arguments)
        self.assertEqual(set(arguments), {"city", "unit"})
        self.assertIn(arguments["unit"], ["celsius", "fahrenheit"])
        result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, sunny"}
        final = self.chat([*question, answer.message.model_dump(), result], tools=[WEATHER])
        self.assertTrue(final.choices[0].message.content)

    def test_tools_in_a_stream(self):
        question = [{"role": "user", "content": "What is the weather in Rome, in celsius?"}]
        choice = {"type": "function", "function": {"name": "get_weather"}}
        chunks = list(self.chat(question, tools=[WEATHER], tool_choice=choice, max_tokens=80, stream=True))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertEqual("".join(call.function.name or "" for call in calls), "get_weather")
        self.assertIn("city", json.loads("".join(call.function.arguments for call in calls)))
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_json_object(self):
        ask = [{"role": "user", "content": "Name a city and its country, as JSON."}]
        answer = self.chat(ask, response_format={"type": "json_object"}, max_tokens=200)
        self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_structured_answer(self):
        ask = [{"role": "user", "content": "Invent a person."}]
        answer = self.client.chat.completions.parse(
            model="smollm2", messages=ask, response_format=Person, temperature=0, max_tokens=100
        )
        person = answer.choices[0].message.parsed
        self.assertIsInstance(person, Person)
        self.assertTrue(person.name)

    def test_a_long_conversation_is_compressed_and_gone_on_with(self):
        text = " ".join(f"Note {i}: the keeper of lighthouse {i} is called Number {i * 7}." for i in range(60))
        messages = [{"role": "user", "content": f"{text}\n\nSay hello."}]
        first = self.chat(messages, max_tokens=8)
        messages += [first.choices[0].message.model_dump(), {"role": "user", "content": "And goodbye."}]
        second = self.chat(messages, max_tokens=8)
        self.assertGreater(second.usage.prompt_tokens, 600)
        self.assertGreater(second.usage.prompt_tokens_details.cached_tokens, 500)

    def test_errors(self):
        stranger = openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="a-wrong-key", max_retries=0)
        with self.assertRaises(openai.AuthenticationError):
            stranger.models.list()
        with self.assertRaises(openai.NotFoundError) as unknown:
            self.chat(model="gpt-4")
        self.assertEqual(unknown.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as wrong:
            self.chat(temperature=9)
        self.assertEqual(wrong.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as long:
            self.chat([{"role": "user", "content": "word " * 20_000}])
        self.assertEqual(long.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.APIStatusError) as large:
            self.chat([{"role": "user", "content": "word " * 400_000}])
        self.assertEqual(large.exception.status_code, 413)
        with self.assertRaises(openai.BadRequestError):
            self.chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}})


if __name__ == "__main__":
    unittest.main()
