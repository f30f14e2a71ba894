"""A small mail server that remembers what it was given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SmtpServer:
    def __init__(self) -> None:
        self.url = ""
        self.said: list[str] = []
        self.mails: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        answer("220 here")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            self.said.append(line)
            match line.split()[0].upper():
                case "EHLO":
                    answer("250-here\r\n250 SMTPUTF8")
                case "RCPT" if self.refuses:
                    answer("550 nobody here")
                case "DATA":
                    answer("354 go on")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append(body.decode())
                    answer("250 taken")
                case "QUIT":
                    answer("221 bye")
                    break
                case "STARTTLS":
                    answer("502 not here")
                case _:
                    answer("250 ok")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def smtp_server() -> AsyncIterator[SmtpServer]:
    made = SmtpServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made
