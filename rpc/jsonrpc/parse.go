package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// SyntaxError says that bytes are no JSON-RPC reply.
type SyntaxError struct {
	// Problem is what is wrong with them.
	Problem string
}

// Error says what is wrong.
func (e *SyntaxError) Error() string { return "not JSON-RPC: " + e.Problem }

// Message is a parsed reply.
type Message struct {
	// ID is the number that the reply has from its request.
	ID uint64
	// Value is the result: the record itself where there is one record, an
	// Array of the records where there are none or several.
	Value rpc.Value
	// Fault is Kamailio's refusal, nil if there is a result.
	Fault *rpc.Fault
}

// Parse decodes a reply. The errors are [*SyntaxError] and [*rpc.LimitError].
func Parse(reply []byte, limits rpc.Limits) (Message, error) {
	limits = limits.WithDefaults()
	if len(reply) > limits.Size {
		return Message{}, &rpc.LimitError{What: "bytes", Limit: limits.Size}
	}
	d := decoder{json: json.NewDecoder(bytes.NewReader(reply)), limits: limits}
	d.json.UseNumber()
	envelope, err := d.envelope()
	if err != nil {
		return Message{}, err
	}
	return envelope.message()
}

// envelope is the outermost object of a reply.
type envelope struct {
	id      any
	result  any
	fault   any
	results int // how many members are called result
}

func (d *decoder) envelope() (envelope, error) {
	var e envelope
	value, err := d.value()
	if err != nil {
		return e, err
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return e, &SyntaxError{"there is something behind the reply"}
	}
	members, ok := value.(rpc.Members)
	if !ok {
		return e, &SyntaxError{"a reply must be an object"}
	}
	for _, member := range members {
		switch member.Name {
		case "id":
			e.id = member.Value
		case "error":
			e.fault = member.Value
		case "result":
			e.result = member.Value
			e.results++
		}
	}
	return e, nil
}

func (e envelope) message() (Message, error) {
	var m Message
	id, ok := e.id.(int64)
	if ok && id >= 0 {
		m.ID = uint64(id)
	}
	if members, ok := e.fault.(rpc.Members); ok {
		m.Fault = &rpc.Fault{}
		for _, member := range members {
			switch value := member.Value.(type) {
			case int64:
				m.Fault.Code = int(value)
			case string:
				m.Fault.Reason = value
			}
		}
		return m, nil
	}
	if e.results != 1 {
		return m, &SyntaxError{"the reply has neither a result nor an error"}
	}
	result := namedLists(e.result)
	records, ok := result.([]any)
	if !ok {
		records = []any{result}
	}
	var err error
	m.Value, err = rpc.ValueOf(records...)
	return m, err
}

// namedLists makes structs of the arrays inside a value that are lists of named
// values: arrays of objects with one member each.
func namedLists(value any) any {
	switch value := value.(type) {
	case rpc.Members:
		for i, member := range value {
			value[i].Value = namedLists(member.Value)
		}
		return value
	case []any:
		for i, element := range value {
			value[i] = namedLists(element)
		}
		return namedList(value)
	default:
		return value
	}
}

func namedList(elements []any) any {
	members := make(rpc.Members, len(elements))
	for i, element := range elements {
		object, ok := element.(rpc.Members)
		if !ok || len(object) != 1 {
			return elements
		}
		members[i] = object[0]
	}
	if len(members) == 0 {
		return elements
	}
	return members
}

// decoder reads JSON with the members of objects in order, repeated or not,
// which encoding/json's own values cannot hold.
type decoder struct {
	json   *json.Decoder
	limits rpc.Limits
	values int
	depth  int
}

func (d *decoder) value() (any, error) {
	token, err := d.json.Token()
	if err != nil {
		return nil, syntax(err)
	}
	if d.values++; d.values > d.limits.Values {
		return nil, &rpc.LimitError{What: "values", Limit: d.limits.Values}
	}
	switch token := token.(type) {
	case json.Delim:
		return d.container(token)
	case json.Number:
		return number(token)
	default: // string, bool or nil
		return token, nil
	}
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &SyntaxError{err.Error()}
}

// number is an int64 where it can be one. Kamailio prints doubles with six
// decimals, and unsigned ones beyond int64 as they are.
func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil {
		return nil, &SyntaxError{"a number out of range"}
	}
	return f, nil
}

func (d *decoder) container(open json.Delim) (any, error) {
	if d.depth++; d.depth > d.limits.Depth+1 { // the envelope does not count
		return nil, &rpc.LimitError{What: "structs and arrays inside each other", Limit: d.limits.Depth}
	}
	defer func() { d.depth-- }()
	if open == '[' {
		return d.array()
	}
	return d.object()
}

func (d *decoder) array() (any, error) {
	elements := []any{}
	for d.json.More() {
		element, err := d.value()
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	_, err := d.json.Token()
	if err != nil {
		return nil, syntax(err)
	}
	return elements, nil
}

func (d *decoder) object() (any, error) {
	members := rpc.Members{}
	for d.json.More() {
		token, err := d.json.Token()
		if err != nil {
			return nil, syntax(err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, &SyntaxError{"a member of an object without a name"}
		}
		value, err := d.value()
		if err != nil {
			return nil, err
		}
		members = append(members, rpc.Member{Name: name, Value: value})
	}
	if _, err := d.json.Token(); err != nil {
		return nil, syntax(err)
	}
	return members, nil
}
