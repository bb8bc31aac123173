package metric

import (
	"bytes"
	"hash/maphash"
	"math"
	"strings"
	"unicode/utf8"
)

// labelID is the number of a label set in a table. Label sets are numbered in the order
// in which they were added. 0 is the empty label set.
type labelID uint32

// noLabels is the number of a label set that is not in the table.
const noLabels labelID = math.MaxUint32

// labelTable holds each label set once, in the form of the text formats:
// {name="value",name="value"}. A label set is therefore escaped once for all families
// that have it. Two label sets are equal if their texts are equal.
type labelTable struct {
	texts  [][]byte           // by labelID
	ids    map[uint64]labelID // by the hash of the text
	chunks [][]byte           // the memory of the texts; chunks after the current one are empty
	chunk  int                // index of the current chunk
}

// labelChunk is the size of a chunk, in bytes. A longer text gets a larger chunk.
const labelChunk = 8 << 10

func newLabelTable() *labelTable {
	return &labelTable{texts: [][]byte{nil}, ids: map[uint64]labelID{}, chunks: [][]byte{make([]byte, 0, labelChunk)}}
}

// reset empties the table and keeps its memory.
func (t *labelTable) reset() {
	t.texts = t.texts[:1]
	clear(t.ids)
	for i := range t.chunks {
		t.chunks[i] = t.chunks[i][:0]
	}
	t.chunk = 0
}

// seed makes the hashes differ between processes, so that a server cannot choose
// labels with equal hashes.
var seed = maphash.MakeSeed()

// id returns the number of a label set. A label set that is not in the table is added
// if room is true; otherwise its number is noLabels. first reports whether it was not
// in the table.
func (t *labelTable) id(names, values []string, room bool) (id labelID, first bool) {
	if len(names) == 0 {
		return 0, false
	}
	chunk := t.chunks[t.chunk]
	text := appendLabels(chunk[len(chunk):], names, values)
	for sum := maphash.Bytes(seed, text); ; sum++ { // the next key if different texts have the same hash
		id, taken := t.ids[sum]
		if !taken && !room {
			return noLabels, true
		}
		if !taken {
			id = labelID(len(t.texts))
			t.ids[sum] = id
			t.texts = append(t.texts, t.keep(text))
			return id, true
		}
		if bytes.Equal(t.texts[id], text) {
			return id, false
		}
	}
}

// keep makes a text part of the table. The text was appended to the current chunk; it
// is copied to the next chunk if it did not fit.
func (t *labelTable) keep(text []byte) []byte {
	chunk := t.chunks[t.chunk]
	if len(text) <= cap(chunk)-len(chunk) {
		t.chunks[t.chunk] = chunk[:len(chunk)+len(text)]
		return text
	}
	t.chunk++
	if t.chunk == len(t.chunks) {
		t.chunks = append(t.chunks, make([]byte, 0, labelChunk))
	}
	t.chunks[t.chunk] = append(t.chunks[t.chunk], text...)
	return t.chunks[t.chunk]
}

// appendLabels appends the text of a label set.
func appendLabels(b []byte, names, values []string) []byte {
	separator := byte('{')
	for i, name := range names {
		b = append(b, separator)
		b = append(b, name...)
		b = append(b, `="`...)
		b = appendEscaped(b, values[i])
		b = append(b, '"')
		separator = ','
	}
	return append(b, '}')
}

// replacer escapes the value of a label.
var replacer = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// appendEscaped appends the escaped value of a label. Bytes that are not UTF-8, which
// Kamailio's strings may have and Prometheus' may not, become U+FFFD.
func appendEscaped(b []byte, value string) []byte {
	for i := range len(value) {
		if c := value[i]; c >= utf8.RuneSelf || c == '\\' || c == '\n' || c == '"' {
			return append(b, replacer.Replace(strings.ToValidUTF8(value, "\uFFFD"))...)
		}
	}
	return append(b, value...)
}

// unescaper is the inverse of replacer.
var unescaper = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)

// values returns the values of a label set. names are its names.
func (t *labelTable) values(id labelID, names []string) []string {
	text := string(t.texts[id])
	values := make([]string, len(names))
	for i, name := range names {
		text = text[len(`{`)+len(name)+len(`="`):]
		end := 0
		for text[end] != '"' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		values[i] = unescaper.Replace(text[:end])
		text = text[end+len(`"`):]
	}
	return values
}

// Pair is a label with its value, for [Family.Has].
type Pair struct {
	first, later []byte // as the first label of a label set, and as a later one
}

// NewPair returns a label with its value. The value must not be empty, and must have letters, digits and underscores only.
func NewPair(label, value string) Pair {
	text := label + `="` + value + `"`
	return Pair{[]byte("{" + text), []byte("," + text)}
}

// isIn reports whether the text of a label set has the pair. The value of another label cannot look like it: a quote in a value has
// a backslash before it, and after the end of a value is a comma or a brace.
func (p Pair) isIn(text []byte) bool {
	return bytes.HasPrefix(text, p.first) || bytes.Contains(text, p.later)
}
