package main

// maxSurvivors is the maximum length of the list of survivors.
const maxSurvivors = 20

// survivor is a mutant that no test kills.
type survivor struct {
	place
	reason string // why no test can or should kill it
}

// survivors lists the mutants that no test kills. To add one, copy the line that the
// program prints, and give the reason in one sentence.
var survivors = []survivor{
	{place{"rpc/binrpc/datagram.go", `d.cookie++`, "++ to --", 0}, "A request needs another cookie than those before it, and one less is another one too."},
	{place{"rpc/binrpc/decode.go", `if bytes > firstChunk {`, "> to >=", 0}, "The result is an estimate, and the tape grows if it is too low."},
	{place{"rpc/binrpc/encode.go", `if uint64(len(body)) > math.MaxUint32 {`, "> to >=", 0}, "The test would need a packet of 4 GiB."},
	{place{"rpc/jsonrpc/client.go", `return nil, written > 0, contextError(ctx, err)`, "> to >=", 0}, "A test cannot end the context between the connect and the first byte."},
}

// listed reports whether a mutant is in the list.
func listed(m mutant) bool {
	for _, s := range survivors {
		if s.place == m.place {
			return true
		}
	}
	return false
}
