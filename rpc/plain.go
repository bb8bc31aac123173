package rpc

import (
	"iter"
	"math"
)

// Plain returns the value as plain Go data: nil, int, float64, string, []any and
// map[string]any. It is for jq, templates, and programs that look values up by name.
// It keeps all values, but not the order of names.
//
//   - A Struct becomes a map. A name that occurs once maps to its value, a name that
//     repeats to a []any of its values in order.
//   - An Array, and a Struct of values without names, become a []any. An exception
//     is a list whose elements are all structs with one named value: it becomes a
//     map too, since JSON-RPC encodes a Struct with repeated names in this way.
//   - A String and Bytes become a string, which may be invalid UTF-8. A null and the
//     zero Value become nil.
//   - An Int, and a Double that is a whole number, become an int, or a float64 if
//     they are beyond the range of int. Any other Double becomes a float64.
//
// The replies to the same call over BINRPC and over JSON-RPC have the same plain
// form if Kamailio sends the same data.
func (v Value) Plain() any {
	switch v.Kind() {
	case KindInt:
		i, _ := v.Int()
		if int64(int(i)) != i {
			return float64(i)
		}
		return int(i)
	case KindDouble:
		f, _ := v.Float()
		if i, ok := v.Int(); ok && f == math.Trunc(f) && int64(int(i)) == i {
			return int(i)
		}
		return f
	case KindString, KindBytes:
		return v.Text()
	case KindStruct, KindArray:
		switch {
		case v.Kind() == KindStruct && v.hasName():
			return plainMap(v.All())
		case v.isNamedList():
			return plainMap(v.onlyMembers())
		default:
			return v.plainList()
		}
	default:
		return nil
	}
}

func (v Value) plainList() []any {
	list := []any{}
	for element := range v.All() {
		list = append(list, element.Plain())
	}
	return list
}

// isNamedList reports whether the value has elements, and each is a Struct with one
// named value.
func (v Value) isNamedList() bool {
	found := false
	for element := range v.All() {
		if element.Kind() != KindStruct || element.Len() != 1 || !element.hasName() {
			return false
		}
		found = true
	}
	return found
}

// onlyMembers yields the values in the elements.
func (v Value) onlyMembers() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for element := range v.All() {
			for member := range element.All() {
				if !yield(member) {
					return
				}
			}
		}
	}
}

func plainMap(all iter.Seq[Value]) map[string]any {
	members := map[string]any{}
	repeated := map[string][]any{}
	for member := range all {
		name, value := member.Name(), member.Plain()
		first, repeats := members[name]
		switch {
		case !repeats:
			members[name] = value
		case repeated[name] == nil:
			repeated[name] = []any{first, value}
		default:
			repeated[name] = append(repeated[name], value)
		}
	}
	for name, values := range repeated {
		members[name] = values
	}
	return members
}
