"""LangChain's OpenAI chat model does against the server what its own examples do."""

import unittest

import openai
import pydantic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from serving import Server


class Movie(pydantic.BaseModel):
    """A movie with details."""

    title: str = pydantic.Field(description="The title of the movie")
    year: int = pydantic.Field(description="The year it was released")


@tool
def multiply(first: int, second: int) -> int:
    """Multiply two integers."""
    return first * second


class LangChain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    def model(self, **options):
        options = {"model": "smollm2", "temperature": 0, "max_tokens": 64, "max_retries": 0, **options}
        return ChatOpenAI(base_url=f"{self.server.url}/v1", api_key="none", **options)

    def test_invoke(self):
        messages = [SystemMessage("You answer in one word."), HumanMessage("What is the capital of France?")]
        answer = self.model().invoke(messages)
        self.assertIn("Paris", answer.content)
        self.assertGreater(answer.usage_metadata["input_tokens"], 10)

    def test_stream(self):
        pieces = list(self.model().stream("What is the capital of France?"))
        self.assertGreater(len(pieces), 3)
        self.assertEqual("".join(piece.content for piece in pieces), self.model().invoke("What is the capital of France?").content)

    def test_batch(self):
        answers = self.model(max_tokens=8).batch(["Say one.", "Say two.", "Say three."])
        self.assertTrue(all(answer.content for answer in answers))

    def test_tools(self):
        model = self.model().bind_tools([multiply], tool_choice="multiply")
        answer = model.invoke("What is 6 times 7?")
        call = answer.tool_calls[0]
        self.assertEqual(call["name"], "multiply")
        result = multiply.invoke(call["args"])
        self.assertIsInstance(result, int)
        messages = [
            HumanMessage("What is 6 times 7?"),
            AIMessage("", tool_calls=answer.tool_calls),
            ToolMessage(str(result), tool_call_id=call["id"]),
        ]
        self.assertTrue(self.model().bind_tools([multiply]).invoke(messages).content)

    def test_structured_output(self):
        for method in ["json_schema", "function_calling"]:
            with self.subTest(method):
                movie = self.model().with_structured_output(Movie, method=method).invoke("Tell of the movie Inception.")
                self.assertIsInstance(movie, Movie)

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.model(model="gpt-4").invoke("hello")


if __name__ == "__main__":
    unittest.main()
