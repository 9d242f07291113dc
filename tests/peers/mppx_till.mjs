// mppx as the seller of one route: it makes the challenges, judges the credentials and settles them.
import { Credential } from 'mppx'
import { Mppx, tempo } from 'mppx/server'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet } from 'viem/tempo/chains'
import { serve } from './json_service.mjs'

const [rpc, recipient, sponsorKey] = process.argv.slice(2)
const client = createClient({
  chain: mainnet,
  // "latest" may be long ago here, and a transaction may expire at most 30 s after the block it is tried in.
  experimental_blockTag: 'pending',
  transport: http(rpc, { retryCount: 0, timeout: 60_000 }),
})

function till(feePayer) {
  const charge = tempo.charge({ decimals: 0, feePayer, getClient: () => client, recipient })
  return Mppx.create({ methods: [charge], secretKey: 'binds challenges to this till, in tests' })
}

const tills = { selfPaid: till(), sponsored: till(privateKeyToAccount(sponsorKey)) }

serve(async ({ url, headers, amount, sponsored }) => {
  const request = new Request(url, { method: 'POST', headers })
  const verdict = await tills[sponsored ? 'sponsored' : 'selfPaid'].charge({ amount })(request)
  const paid = verdict.status === 200
  const answer = paid ? verdict.withReceipt(new Response()) : verdict.challenge
  return {
    paid,
    source: paid ? Credential.fromRequest(request).source : null,
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: await answer.text(),
  }
})
