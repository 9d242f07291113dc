// mppx as the buyer: it fetches what it is asked for, and pays if that costs something.
import { Mppx, tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempo as mainnet } from 'viem/tempo/chains'
import { serve } from './json_service.mjs'

const [rpc, key, feeToken] = process.argv.slice(2)
const client = createClient({ chain: mainnet.extend({ feeToken }), transport: http(rpc, { retryCount: 0 }) })
const charge = tempo.charge({ account: privateKeyToAccount(key), getClient: () => client })
const { fetch } = Mppx.create({ methods: [charge], polyfill: false })

serve(async ({ url, body }, signal) => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers, signal })
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() }
})
