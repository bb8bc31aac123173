package metric

import (
	"bytes"
	"hash/maphash"
	"math"
	"strings"
	"unicode/utf8"
)

// labelID numbers the label sets of a table in the order in which they came. That
// of a sample without labels is 0.
type labelID uint32

// noLabels is the number of a label set that is not in the table.
const noLabels labelID = math.MaxUint32

// labelTable holds each label set once, as it stands in the text formats:
// {name="value",name="value"}. So a label set is escaped and written once for all
// the families that have it, and two are the same if their texts are.
type labelTable struct {
	texts  [][]byte           // by number
	ids    map[uint64]labelID // by the hash of the text
	chunks [][]byte           // where texts are written, one behind the other; those behind the one in use are empty
	chunk  int                // the one in use
}

// labelChunk is how much room for texts is made at a time.
const labelChunk = 8 << 10

func newLabelTable() *labelTable {
	return &labelTable{texts: [][]byte{nil}, ids: map[uint64]labelID{}, chunks: [][]byte{make([]byte, 0, labelChunk)}}
}

// reset empties the table, and keeps its memory for other label sets.
func (t *labelTable) reset() {
	t.texts = t.texts[:1]
	clear(t.ids)
	for i := range t.chunks {
		t.chunks[i] = t.chunks[i][:0]
	}
	t.chunk = 0
}

// seed is what makes the hashes of this process its own.
var seed = maphash.MakeSeed()

// id returns the number of a label set. One that is not in the table is added if
// there is room, and is noLabels if not; first reports whether it was not there.
func (t *labelTable) id(names, values []string, room bool) (id labelID, first bool) {
	if len(names) == 0 {
		return 0, false
	}
	chunk := t.chunks[t.chunk]
	text := appendLabels(chunk[len(chunk):], names, values)
	for sum := maphash.Bytes(seed, text); ; sum++ { // on to the next place where different texts have the same hash
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

// keep keeps a text that was appended to the chunk in use, or that grew out of it.
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

// replacer escapes what the value of a label may not have as it is.
var replacer = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// appendEscaped appends the value of a label. Kamailio's strings may be any bytes,
// Prometheus' are UTF-8.
func appendEscaped(b []byte, value string) []byte {
	for i := range len(value) {
		if c := value[i]; c >= utf8.RuneSelf || c == '\\' || c == '\n' || c == '"' {
			return append(b, replacer.Replace(strings.ToValidUTF8(value, "\uFFFD"))...)
		}
	}
	return append(b, value...)
}

// unescaper is what undoes replacer.
var unescaper = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)

// values takes a label set's text apart again.
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
