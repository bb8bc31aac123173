// Package custom turns the reply of an RPC method into the metrics that a user defines
// with jq expressions. It never uses the network.
package custom

import (
	"context"
	"errors"
	"fmt"
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

// searches are the functions of jq that search a text with a regular expression, except test. gojq counts the characters before each
// match, so that the time for many matches grows with the square of the length of the text. The end of a poll does not stop that.
var searches = []string{
	"match($re)", "match($re; $flags)", "capture($re)", "capture($re; $flags)", "scan($re)", "scan($re; $flags)", "split($re; $flags)",
	"splits($re)", "splits($re; $flags)", "sub($re; str)", "sub($re; str; $flags)", "gsub($re; str)", "gsub($re; str; $flags)",
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

// ownDefs has the definitions as gojq represents them, searchDefs those of the searches.
var (
	ownDefs    = mustParse(definitions).FuncDefs
	searchDefs = mustParse(limitedSearches()).FuncDefs
)

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

// defsFor returns the definitions that an expression needs. Those of the searches would make the code of each expression ten times as large.
func defsFor(text string) []*gojq.FuncDef {
	for _, search := range searches {
		if name, _, _ := strings.Cut(search, "("); strings.Contains(text, name) {
			return slices.Concat(ownDefs, searchDefs)
		}
	}
	return ownDefs
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
