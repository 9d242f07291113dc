import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'

/**
 * Answers each JSON body posted to a free port of 127.0.0.1, whose number is all that goes to stdout.
 * The signal that an answer is given is aborted once nobody waits for it.
 */
export function serve(answer) {
  const server = createServer(async (question, reply) => {
    const nobodyWaits = new AbortController()
    reply.on('close', () => nobodyWaits.abort())
    const send = (status, value) => reply.writeHead(status).end(JSON.stringify(value))
    try {
      send(200, await answer(await json(question), nobodyWaits.signal))
    } catch (error) {
      send(500, { error: String(error.cause ?? error) })
    }
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
}
