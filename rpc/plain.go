package rpc

import (
	"iter"
	"math"
)

// Plain returns the value as plain Go data, for jq, templates and programs that look
// for names: nil, int, float64, string, []any and map[string]any. No value is lost,
// but the order of names is.
//
//   - A Struct becomes a map. A name that occurs once is a member; one that occurs
//     more often is a list of its values in order.
//   - An Array, and a Struct of values without names, become a list. A list whose
//     elements are all structs of one named value is such a Struct itself, since
//     JSON-RPC does not tell them apart.
//   - A String and Bytes become a string, which need not be UTF-8. A null, and the
//     zero Value, become nil.
//   - An Int, and a Double that is a whole number, become an int, or a float64 if
//     they do not fit. Any other Double becomes a float64.
//
// The replies to the same call over BINRPC and over JSON-RPC are the same in this
// form, as far as Kamailio sends the same.
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

// isNamedList reports whether there are elements, and each is a Struct of one named
// value.
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

// onlyMembers yields the values inside the elements.
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
