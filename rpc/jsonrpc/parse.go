package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/budget"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/internal/tape"
)

// SyntaxError is the error of a reply that is not valid JSON-RPC 2.0.
type SyntaxError struct {
	// Problem describes the problem.
	Problem string
}

// Error returns the problem.
func (e *SyntaxError) Error() string { return "not JSON-RPC: " + e.Problem }

// Message is a parsed reply.
type Message struct {
	// ID is the number that the server copied from the request, 0 if the reply has no
	// id or one that is not an integer.
	ID uint64
	// Value is the result: the record itself if the reply has one record, an Array of
	// the records if it has none or several. It is the zero Value if Fault is not nil.
	Value rpc.Value
	// Fault is the fault, nil if the reply has a result.
	Fault *rpc.Fault
}

// Parse decodes a reply. It does not keep a reference to reply. The errors are
// [*SyntaxError] and [*rpc.LimitError].
func Parse(reply []byte, limits rpc.Limits) (Message, error) {
	message, _, err := parse(reply, budget.ForOne(limits.WithDefaults()))
	return message, err
}

// parse decodes a reply, and returns it and the number of values of its result.
func parse(reply []byte, allowed budget.Allowance) (Message, int, error) {
	if len(reply) > allowed.Size {
		return Message{}, 0, allowed.SizeError()
	}
	input := json.NewDecoder(bytes.NewReader(reply))
	input.UseNumber()
	e := envelope{
		result: decoder{json: input, allowed: allowed, builder: tape.NewBuilder(min(len(reply)/40, allowed.Values))},
		rest:   decoder{json: input, allowed: allowed, builder: tape.NewBuilder(8)},
	}
	if err := e.read(); err != nil {
		return Message{}, 0, err
	}
	message, err := e.message()
	return message, e.result.builder.Len(), err
}

// envelope is the outermost object of a reply.
type envelope struct {
	result  decoder
	results int     // number of members with the name result
	rest    decoder // all other members
}

func (e *envelope) read() error {
	open, err := e.rest.token()
	if err != nil {
		return err
	}
	if open != json.Delim('{') {
		return &SyntaxError{"the reply is not an object"}
	}
	e.rest.builder.Open(tape.Struct, tape.Span{})
	for e.rest.json.More() {
		name, err := e.rest.memberName()
		if err != nil {
			return err
		}
		if name == "result" {
			e.results++
			err = e.result.value(tape.Span{})
		} else {
			err = e.rest.value(e.rest.add(name))
		}
		if err != nil {
			return err
		}
	}
	if _, err := e.rest.token(); err != nil { // the closing brace
		return err
	}
	e.rest.builder.Close()
	if _, err := e.rest.json.Token(); !errors.Is(err, io.EOF) {
		return &SyntaxError{"there is data after the reply"}
	}
	return nil
}

func (e *envelope) message() (Message, error) {
	rest := e.rest.finish()
	if rest.Get("jsonrpc").Text() != "2.0" {
		return Message{}, &SyntaxError{`the reply does not contain "jsonrpc":"2.0"`}
	}
	var m Message
	if id := rest.Get("id"); id.Kind() == rpc.KindInt {
		m.ID, _ = id.Uint()
	}
	if failure := rest.Get("error"); failure.Kind() > rpc.KindNull {
		code, isInt := failure.Get("code").Int()
		reason := failure.Get("message")
		if !isInt || reason.Kind() != rpc.KindString {
			return m, &SyntaxError{"the error in the reply has no code or no message"}
		}
		m.Fault = &rpc.Fault{Code: int(code), Reason: reason.Text()}
		return m, nil
	}
	if e.results != 1 {
		return m, &SyntaxError{"the reply has neither an error nor exactly one result"}
	}
	m.Value = record(e.result.finish())
	return m, nil
}

// record returns the only record of a result, or the Array of its records.
func record(result rpc.Value) rpc.Value {
	if result.Kind() == rpc.KindArray && result.Len() == 1 {
		for only := range result.All() {
			return only
		}
	}
	return result
}

// decoder reads JSON and builds a tape.
type decoder struct {
	json    *json.Decoder
	allowed budget.Allowance
	builder *tape.Builder
	text    strings.Builder
	depth   int
}

func (d *decoder) finish() rpc.Value { return rpc.Value(d.builder.Finish(d.text.String())) }

// add stores a name or a text.
func (d *decoder) add(text string) tape.Span {
	span := tape.Span{At: uint32(d.text.Len()), Len: uint32(len(text))}
	d.text.WriteString(text)
	return span
}

func (d *decoder) token() (json.Token, error) {
	token, err := d.json.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, &SyntaxError{err.Error()}
	}
	return token, nil
}

func (d *decoder) memberName() (string, error) {
	token, err := d.token()
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok {
		return "", &SyntaxError{"a member of an object has no name"}
	}
	return name, nil
}

// value reads one value.
func (d *decoder) value(name tape.Span) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	if d.builder.Len() >= d.allowed.Values {
		return d.allowed.ValuesError()
	}
	switch token := token.(type) {
	case json.Delim:
		return d.container(name, token)
	case json.Number:
		return d.number(name, token)
	case string:
		d.builder.Text(tape.String, name, d.add(token))
	case bool: // an int over BINRPC
		d.builder.Int(name, bit(token))
	default:
		d.builder.Null(name)
	}
	return nil
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// number reads a number: an Int if it is an integer in the range of int64, otherwise a
// Double. Kamailio prints doubles with six decimals, and unsigned integers may exceed
// int64.
func (d *decoder) number(name tape.Span, n json.Number) error {
	if i, err := n.Int64(); err == nil {
		d.builder.Int(name, i)
		return nil
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil {
		return &SyntaxError{"a number is out of range"}
	}
	d.builder.Double(name, f)
	return nil
}

func (d *decoder) container(name tape.Span, open json.Delim) error {
	if d.depth >= d.allowed.Depth {
		return d.allowed.DepthError()
	}
	d.depth++
	defer func() { d.depth-- }()
	if open == '[' {
		return d.array(name)
	}
	return d.object(name)
}

func (d *decoder) array(name tape.Span) error {
	d.builder.Open(tape.Array, name)
	for d.json.More() {
		if err := d.value(tape.Span{}); err != nil {
			return err
		}
	}
	if _, err := d.token(); err != nil { // the closing bracket
		return err
	}
	d.builder.CloseList()
	return nil
}

func (d *decoder) object(name tape.Span) error {
	d.builder.Open(tape.Struct, name)
	for d.json.More() {
		member, err := d.memberName()
		if err != nil {
			return err
		}
		if err := d.value(d.add(member)); err != nil {
			return err
		}
	}
	if _, err := d.token(); err != nil { // the closing brace
		return err
	}
	d.builder.Close()
	return nil
}
