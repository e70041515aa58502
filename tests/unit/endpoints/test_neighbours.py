"""The files next to a document go to the engine on this machine, once, and to no other server."""

from __future__ import annotations

from contextlib import aclosing

from codeface_lsp.context.parts import Parts, Site
from codeface_lsp.endpoints.codeface import CodefaceServer
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.types import DocumentText, InfillRequest, Neighbours
from tests.model_server import ModelServer, model_server


def request(neighbours: Neighbours | None, version: int = 1) -> InfillRequest:
    parts = Parts("a.py", "python", "x = ", "", "", (), Site())
    return InfillRequest(parts, 4, document=DocumentText("file:///a.py", version, "x = ", neighbours))


async def complete(server: CodefaceServer, asked: InfillRequest) -> None:
    async with aclosing(server.infill(asked)) as chunks:
        async for _ in chunks:
            pass


def connected(model: ModelServer, *, local: bool) -> CodefaceServer:
    return CodefaceServer(ServerClient("test", f"http://127.0.0.1:{model.port}"), local=local)


async def test_they_are_sent_once_and_again_when_they_changed() -> None:
    async with model_server() as model:
        server = connected(model, local=True)
        first = Neighbours({"b.py": "y = 1\n"})
        for version, neighbours in enumerate([None, first, first, first, Neighbours({})]):
            await complete(server, request(neighbours, version))
        await server.told()
        assert [sent["neighbours"] for sent in model.documents] == [
            [{"filename": "b.py", "text": "y = 1\n"}],
            [],
        ]
        assert {sent["client"] for sent in model.documents} == {model.bodies[0]["client"]}
        await server.aclose()


async def test_another_machine_never_gets_them() -> None:
    async with model_server() as model:
        server = connected(model, local=False)
        for _ in range(3):
            await complete(server, request(Neighbours({"b.py": "y = 1\n"})))
        await server.told()
        assert model.documents == []
        assert "y = 1" not in str(model.bodies)
        await server.aclose()


async def test_what_was_refused_is_told_again() -> None:
    async with model_server() as model:
        server = connected(model, local=True)
        neighbours = Neighbours({"b.py": "y = 1\n"})
        model.document_status = 503
        await complete(server, request(neighbours, 1))
        await server.told()
        model.document_status = 200
        for version in (2, 3):
            await complete(server, request(neighbours, version))
            await server.told()
        assert len(model.documents) == 2, "the refused one, and one that was taken"
        await server.aclose()
