// Package custom turns the reply of an RPC method into the metrics that a user defines
// with jq expressions. It never uses the network.
package custom

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// Expression is a compiled jq expression. It may be used concurrently.
//
// It is jq 1.8 as gojq implements it, without env, input and import, and with the
// function each: each("DEST") yields the values of the member DEST, which are none if
// there is no such member, all elements if the name is repeated and the member is
// therefore a list, and otherwise one.
type Expression struct {
	code   *gojq.Code
	source string
}

// Equal reports whether the texts of the expressions are equal. Nil is equal to nil only.
func (e *Expression) Equal(other *Expression) bool {
	if e == nil || other == nil {
		return e == other
	}
	return e.source == other.source
}

// definitions has the definition of the function each, and of functions of jq that need a limit: the time for parsing a number
// of many digits grows with the square of their number, and a reply can have millions. The end of a poll does not stop that.
const definitions = `
def each($name): .[$name]? // empty | if type == "array" then .[] else . end;
def _limited: if type == "string" and utf8bytelength > 65536 then error("a text of more than 65536 bytes is not parsed") else . end;
def _tonumber: tonumber;
def _fromjson: fromjson;
def tonumber: _limited | _tonumber;
def fromjson: _limited | _fromjson;
.`

// searches are the functions of jq that search a text with a regular expression, except test, and those that find its parts. gojq counts
// the characters before each match, so that the time for many matches grows with the square of the length of the text. The end of a
// poll does not stop that.
var searches = []string{
	"match($re)", "match($re; $flags)", "capture($re)", "capture($re; $flags)", "scan($re)", "scan($re; $flags)", "split($re; $flags)",
	"splits($re)", "splits($re; $flags)", "sub($re; str)", "sub($re; str; $flags)", "gsub($re; str)", "gsub($re; str; $flags)",
	"index($part)", "rindex($part)", "indices($part)",
}

// limitedSearches returns definitions with which the searches fail for a long text.
func limitedSearches() string {
	var text strings.Builder
	text.WriteString(`def _short: if type == "string" and utf8bytelength > 16384 then error("a text of more than 16384 bytes is not searched") else . end;`)
	for _, search := range searches {
		fmt.Fprintf(&text, "def _%[1]s: %[1]s; def %[1]s: _short | _%[1]s;", search)
	}
	return text.String() + "."
}

// comparisons has definitions of functions that compare each element of an array with each one of another. They fail for long arrays,
// because the end of a poll does not stop them. withLimitedDifferences uses _difference.
const comparisons = `
def _compared($a; $b): if $a * $b > 1000000 then error("arrays of \($a) and \($b) elements are not compared, because there are too many pairs") else . end;
def _elements: if type == "array" then length else 1 end;
def _all: if type == "array" or type == "object" then [..] | length else 1 end;
def _difference(a; b): b as $b | a as $a |
	if ($a | type) == "array" and ($b | type) == "array" then _compared($a | length; $b | length) else . end | $a - $b;
def _contains($b): contains($b);
def contains($b): _compared(_all; $b | _all) | _contains($b);
def inside($b): . as $a | $b | contains($a);
def _index($b): index($b);
def index($b): _compared(_elements; $b | _elements) | _index($b);
def _rindex($b): rindex($b);
def rindex($b): _compared(_elements; $b | _elements) | _rindex($b);
def _indices($b): indices($b);
def indices($b): _compared(_elements; $b | _elements) | _indices($b);
.`

// limits are definitions that only some expressions need. All of them would make the code of each expression ten times as large.
var limits = []struct {
	words []string // an expression with one of these needs the definitions
	defs  []*gojq.FuncDef
}{
	{[]string{"match", "capture", "scan", "split", "sub", "index", "indices"}, mustParse(limitedSearches()).FuncDefs},
	{[]string{"-", "contains", "inside", "index", "indices"}, mustParse(comparisons).FuncDefs},
}

// ownDefs has the definitions as gojq represents them.
var ownDefs = mustParse(definitions).FuncDefs

func mustParse(text string) *gojq.Query {
	query, err := gojq.Parse(text)
	if err != nil {
		panic(err)
	}
	return query
}

// ErrEnvironment is the error of an expression that reads environment variables.
var ErrEnvironment = errors.New("env and $ENV are not available: an expression sees the reply only")

// Compile compiles a jq expression. The error says what is wrong and where.
func Compile(text string) (*Expression, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the jq expression %q is not valid: %w", text, err)
	}
	limitDifferences(reflect.ValueOf(query))
	query.FuncDefs = slices.Concat(defsFor(text), query.FuncDefs)
	readsEnvironment := false
	code, err := gojq.Compile(query, gojq.WithEnvironLoader(func() []string {
		readsEnvironment = true
		return nil
	}))
	if readsEnvironment {
		err = ErrEnvironment
	}
	if err != nil {
		return nil, fmt.Errorf("the jq expression %q does not compile: %w", text, err)
	}
	return &Expression{code, text}, nil
}

// defsFor returns the definitions that an expression needs.
func defsFor(text string) []*gojq.FuncDef {
	defs := ownDefs
	for _, l := range limits {
		if slices.ContainsFunc(l.words, func(word string) bool { return strings.Contains(text, word) }) {
			defs = slices.Concat(defs, l.defs)
		}
	}
	return defs
}

// limitDifferences replaces each a - b of a part of a query by a call of _difference.
func limitDifferences(part reflect.Value) {
	switch part.Kind() {
	case reflect.Pointer:
		if part.IsNil() {
			return
		}
		limitDifferences(part.Elem())
		if query, ok := part.Interface().(*gojq.Query); ok {
			limitDifference(query)
		}
	case reflect.Slice:
		for i := range part.Len() {
			limitDifferences(part.Index(i))
		}
	case reflect.Struct:
		for _, field := range part.Fields() {
			limitDifferences(field)
		}
	}
}

// limitDifference replaces a query a - b by _difference(a; b), and a -= b by b as $_b | a |= _difference(.; $_b).
func limitDifference(query *gojq.Query) {
	a, b := query.Left, query.Right
	switch query.Op {
	case gojq.OpSub:
		*query = *difference(a, b)
	case gojq.OpUpdateSub:
		name := "$_b"
		update := &gojq.Query{Left: a, Op: gojq.OpModify, Right: difference(mustParse("."), mustParse(name))}
		*query = gojq.Query{Left: b, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: name}}, Right: update}
	}
}

// difference returns the query _difference(a; b).
func difference(a, b *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "_difference", Args: []*gojq.Query{a, b}}}}
}

// maxOutputs is the maximum number of outputs of one expression.
const maxOutputs = 100_000

// errTooManyOutputs is the error of an expression with more than maxOutputs outputs.
var errTooManyOutputs = fmt.Errorf("the expression has more than %d outputs", maxOutputs)

// run calls yield for each output until it returns false. It ends when ctx is done. The
// input must not be used afterwards.
func (e *Expression) run(ctx context.Context, input any, yield func(output any) bool) error {
	outputs := e.code.RunWithContext(ctx, input)
	for count := 0; ; count++ {
		output, ok := outputs.Next()
		if !ok {
			return nil
		}
		if err, failed := output.(error); failed {
			return err
		}
		if count == maxOutputs {
			return errTooManyOutputs
		}
		if !yield(output) {
			return nil
		}
	}
}

// one returns the only output. ok is false if there is none.
func (e *Expression) one(ctx context.Context, input any) (output any, ok bool, err error) {
	several := false
	err = e.run(ctx, input, func(next any) bool {
		several = ok
		output, ok = next, true
		return !several
	})
	if several {
		err = errSeveralOutputs
	}
	return output, ok, err
}

// errSeveralOutputs is the error of an expression that must have one output.
var errSeveralOutputs = errors.New("the expression has more than one output: select one, for example with first(…)")
