"""What happens to the agent, in order, and the page that comes of it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from transcript_agent import Agent, assigned
from transcript_page import Page
from transcript_seller import Seller, open_seller

from seedance_mcp.sandbox.render import sample_image
from tests.e2e.home import KEY, Home, make_home

PROMPT = "Slow push-in over the lake at dawn, mist drifting"
SECONDS = 4
CAPS = {"per_payment": "0.75", "per_hour": "2.00", "per_day": "5.00"}
ABOVE = "0.30"

OPENING = """\
# What an agent sees

A conversation with the server, call by call. `scripts/transcript` made it: a real MCP client starts the server over
stdio, the seller is the embedded one, and no money moves. A test makes it again and compares.

The agent is a script. Its user said: *"A clip of lake.jpg, four seconds: slow push-in over the lake at dawn."* It knows
the tools' names and arguments, and beyond that only what the answers tell it. Every id, link and next call below was
read out of an answer further up; where an answer says what to call, the script takes the call out of that sentence.

Names stand for ids, hashes, addresses and folders, and it is always noon. A `…` stands for fields that are null, and
for the windows of a budget once they were shown. The rest is the text that a model gets, with line breaks.

The operator's policy allows $0.75 for one payment, and wants a human to be asked above $0.30:"""


async def play() -> str:
    """The whole page."""
    with TemporaryDirectory(prefix="seedance-transcript-") as name:
        picture = Path(name) / "lake.jpg"
        sample_image(picture)
        async with open_seller(picture, PROMPT, SECONDS) as (seller, origin):
            home = _home(Path(name) / "home", origin)
            picture.rename(home.images / picture.name)
            page = Page(str(home.folder))
            page.add(OPENING)
            page.toml(home.policy.read_text())
            async with home.server() as server:
                await _Conversation(Agent(server.client, page), page, home, seller).run()
            return page.text


def _home(folder: Path, origin: str) -> Home:
    urls = {"STUDIO_URL": origin, "BLOB_URL": f"{origin}/blob/", "BASE_RPC_URL": f"{origin}/rpc"}
    home = make_home(folder, **urls, TEMPO_RPC_URL=f"{origin}/rpc/tempo", PRIVATE_KEY=KEY, AGENT="director")
    home.write_policy(CAPS, above=ABOVE)
    return home


class _Conversation:
    def __init__(self, agent: Agent, page: Page, home: Home, seller: Seller) -> None:
        self._agent = agent
        self._page = page
        self._home = home
        self._seller = seller

    async def run(self) -> None:
        await self._quote()
        await self._refusal()
        await self._draft()
        await self._approval()
        await self._failed_job()
        await self._lost_answer()
        self._books()

    async def _quote(self) -> None:
        self._page.add("## A quote")
        quote = await self._agent.call(
            "What does the clip cost, and may I buy it?",
            "estimate_cost",
            model="seedance",
            duration=SECONDS,
            resolution="720p",
        )
        self._quote_id = quote.fields["quote_id"]
        self._cheaper = assigned(quote.fields["draft"])

    async def _refusal(self) -> None:
        self._page.add("## A refusal, and the way out")
        refused = await self._agent.call(
            "Would a longer and sharper one be allowed?",
            "generate_video",
            prompt=PROMPT,
            image="lake.jpg",
            duration=12,
            resolution="1080p",
        )
        assert "shorter or smaller" in refused.text
        self._page.add(
            "Then something shorter and smaller: the draft that the quote named. The picture is for more than one clip,"
            "\nso it is uploaded by itself."
        )

    async def _draft(self) -> None:
        self._page.add("## A draft, from the picture to the clip")
        upload = await self._agent.call("First the picture.", "upload_image", path="lake.jpg")
        self._image = upload.fields["image_url"]
        bought = await self._agent.call(
            "Now the draft.",
            "generate_video",
            prompt=PROMPT,
            image=self._image,
            duration=SECONDS,
            **self._cheaper,
        )
        await self._agent.follow("What `next` says: wait for it.", bought.fields["next"])

    async def _approval(self) -> None:
        self._page.add("## A purchase that a human has to approve")
        waiting = await self._agent.call(
            "The findings have no remarks. Now the clip itself, for no more than the quote.",
            "generate_video",
            prompt=PROMPT,
            image=self._image,
            model="seedance",
            duration=SECONDS,
            resolution="720p",
            quote_id=self._quote_id,
        )
        self._page.add("The agent tells its user. The operator answers in a shell:")
        purchase_id = waiting.fields["purchase_id"]
        self._shell("approve", purchase_id, typed="y")
        bought = await self._agent.follow("The same call again, as `next` said.", waiting.fields["next"])
        await self._agent.follow("Wait for it.", bought.fields["next"])

    async def _failed_job(self) -> None:
        self._page.add("## A job that fails")
        self._seller.sandbox.faults.job = "failed"
        bought = await self._agent.call(
            "My user wants another draft, with rain.",
            "generate_video",
            prompt=f"{PROMPT}, rain",
            image=self._image,
            duration=SECONDS,
            **self._cheaper,
        )
        failed = await self._agent.follow("Wait for it.", bought.fields["next"])
        self._seller.sandbox.faults.job = "ok"
        again = await self._agent.follow("The error names the way: another take.", failed.fields["error"])
        await self._agent.follow("Wait for it.", again.fields["next"])

    async def _lost_answer(self) -> None:
        self._page.add("## A payment whose answer is lost")
        self._page.add("The line breaks while the next clip is being paid: neither the seller nor the chain answers.")
        self._seller.breaking = True
        lost = await self._agent.call(
            "And one with snow.",
            "generate_video",
            prompt=f"{PROMPT}, snow",
            image=self._image,
            duration=SECONDS,
            **self._cheaper,
        )
        await self._agent.follow("Not bought again: what became of it?", lost.text)
        self._seller.mend()
        self._page.add("The line is back.")
        await self._agent.follow("And now?", lost.text)
        again = await self._agent.repeat(
            "There is the job. Is it safe to repeat the call, as the error said?", "generate_video"
        )
        await self._agent.follow("It is: the same purchase, and $0.00 charged. Wait for it.", again.fields["next"])

    def _books(self) -> None:
        self._page.add("## What the ledger says")
        self._page.add("The operator has the payments looked up on the chain, and adds up.")
        self._shell("reconcile")
        self._shell("spend", "--by", "model")

    def _shell(self, *command: str, typed: str = "") -> None:
        output = self._home.run(*command, answer=f"{typed}\n")
        self._page.shell(f"{f'echo {typed} | ' if typed else ''}seedance-mcp {' '.join(command)}", output)
