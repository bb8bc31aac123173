package rpc

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
)

// Decode stores the value in what dst points to, by the rules that users of
// encoding/json know:
//
//   - A Struct goes into a Go struct. A field takes the value that its tag
//     names, `rpc:"URI"`. Without a tag it takes the value of its own name, in
//     upper or lower case. The tag `rpc:"-"` leaves it out. The fields of embedded
//     structs are those of the outer one. Values without a field are ignored, and
//     fields without a value stay as they are. If a name repeats, a slice takes
//     every value of it, any other field the first.
//   - A Struct also goes into a map with string keys. If a name repeats, a map of
//     slices takes every value, any other map the first.
//   - A Struct also goes into [Members], which keep every value.
//   - The rows of a list (see [Value.Rows]) go into a slice, so that a single
//     record becomes a slice of one.
//   - A number goes into any integer or float type, into a bool (true if it is
//     not zero), read as signed or unsigned as the type asks. One that does not
//     fit is an error.
//   - A String or Bytes goes into a string, a []byte, or an
//     [encoding.TextUnmarshaler].
//   - A null leaves everything as it is, but sets a pointer, a slice, a map or
//     an interface to nil.
//   - Anything goes into a Value, and into an any as [Value.Interface] gives it.
//
// [Encode] is the inverse. Decode stops at the first value that does not fit, with
// a [*DecodeError]; what was stored by then stays. The zero Value is an error.
func (v Value) Decode(dst any) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode into %T: a pointer that is not nil is needed", dst)
	}
	if !v.Exists() {
		return fmt.Errorf("decode into %T: there is no value", dst)
	}
	return v.decode(p.Elem())
}

// DecodeError is a value that does not fit the Go type it was to go into.
type DecodeError struct {
	// Path is where in the value it stands: names joined by dots.
	Path string
	// Kind is the kind of the value.
	Kind Kind
	// Type is the Go type that was to take it.
	Type reflect.Type
	// Err is the cause, or nil if Kind and Type are all there is to say.
	Err error
}

// Error says which value does not fit what.
func (e *DecodeError) Error() string {
	at := ""
	if e.Path != "" {
		at = " at " + e.Path
	}
	if e.Err != nil {
		return fmt.Sprintf("decode%s: %v", at, e.Err)
	}
	return fmt.Sprintf("decode%s: a value of kind %s does not fit Go type %s", at, e.Kind, e.Type)
}

// Unwrap is Err.
func (e *DecodeError) Unwrap() error { return e.Err }

func (v Value) misfit(t reflect.Type, err error) error {
	return &DecodeError{Kind: v.Kind(), Type: t, Err: err}
}

// within puts the name of the value that was being decoded in front of the
// error's path.
func within(name string, err error) error {
	var misfit *DecodeError
	if name == "" || !errors.As(err, &misfit) {
		return err
	}
	if misfit.Path != "" {
		name += "."
	}
	misfit.Path = name + misfit.Path
	return err
}

var (
	valueType   = reflect.TypeFor[Value]()
	membersType = reflect.TypeFor[Members]()
)

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func (v Value) decode(dst reflect.Value) error {
	if dst.Type() == valueType {
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	if dst.Type() == membersType && v.Kind() == KindStruct {
		dst.Set(reflect.ValueOf(v.Interface()))
		return nil
	}
	if v.Kind() == KindNull {
		switch dst.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			dst.SetZero()
		}
		return nil
	}
	if text, ok := v.textUnmarshaler(dst); ok {
		if err := text.UnmarshalText([]byte(v.Text())); err != nil {
			return v.misfit(dst.Type(), err)
		}
		return nil
	}
	switch dst.Kind() {
	case reflect.Pointer:
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return v.decode(dst.Elem())
	case reflect.Interface:
		if dst.NumMethod() == 0 {
			dst.Set(reflect.ValueOf(v.Interface()))
			return nil
		}
	case reflect.Struct:
		if v.Kind() == KindStruct {
			return v.decodeStruct(dst)
		}
	case reflect.Map:
		if v.Kind() == KindStruct && dst.Type().Key().Kind() == reflect.String {
			return v.decodeMap(dst)
		}
	case reflect.Slice:
		if isBytes(dst.Type()) && v.isText() {
			dst.SetBytes([]byte(v.Text()))
			return nil
		}
		return v.decodeSlice(dst)
	case reflect.String:
		if v.isText() {
			dst.SetString(v.Text())
			return nil
		}
	default:
		return v.decodeNumber(dst)
	}
	return v.misfit(dst.Type(), nil)
}

func (v Value) isText() bool { return v.Kind() == KindString || v.Kind() == KindBytes }

func (v Value) textUnmarshaler(dst reflect.Value) (encoding.TextUnmarshaler, bool) {
	if !v.isText() || !dst.CanAddr() {
		return nil, false
	}
	text, ok := dst.Addr().Interface().(encoding.TextUnmarshaler)
	return text, ok
}

func (v Value) decodeNumber(dst reflect.Value) error {
	switch dst.Kind() {
	case reflect.Bool:
		if f, ok := v.Float(); ok {
			dst.SetBool(f != 0)
			return nil
		}
	case reflect.Float32, reflect.Float64:
		if f, ok := v.Float(); ok && !dst.OverflowFloat(f) {
			dst.SetFloat(f)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if i, ok := v.Int(); ok && v.isWhole() && !dst.OverflowInt(i) {
			dst.SetInt(i)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u, ok := v.Uint(); ok && v.isWhole() && !dst.OverflowUint(u) {
			dst.SetUint(u)
			return nil
		}
	}
	if f, ok := v.Float(); ok {
		return v.misfit(dst.Type(), fmt.Errorf("the number %v does not fit Go type %s", f, dst.Type()))
	}
	return v.misfit(dst.Type(), nil)
}

func (v Value) isWhole() bool {
	f, _ := v.Float()
	return f == math.Trunc(f)
}

func (v Value) decodeSlice(dst reflect.Value) error {
	dst.Set(reflect.MakeSlice(dst.Type(), 0, 0))
	for row := range v.Rows() {
		if err := row.appendTo(dst); err != nil {
			return within(row.Name(), err)
		}
	}
	return nil
}

// appendTo decodes the value into a new last element of the slice.
func (v Value) appendTo(slice reflect.Value) error {
	element := reflect.New(slice.Type().Elem()).Elem()
	if err := v.decode(element); err != nil {
		return err
	}
	slice.Set(reflect.Append(slice, element))
	return nil
}

func (v Value) decodeMap(dst reflect.Value) error {
	t := dst.Type()
	if dst.IsNil() {
		dst.Set(reflect.MakeMap(t))
	}
	seen := map[string]repeats{}
	for member := range v.All() {
		name := member.Name()
		key := reflect.ValueOf(name).Convert(t.Key())
		element := reflect.New(t.Elem()).Elem()
		known := seen[name]
		if known.count > 0 {
			element.Set(dst.MapIndex(key))
		}
		if err := known.decode(member, element); err != nil {
			return within(name, err)
		}
		seen[name] = known
		dst.SetMapIndex(key, element)
	}
	return nil
}

// repeats is what is known of a name that may repeat in a struct.
type repeats struct {
	count int
	first Value
}

// decode decodes the next value of the name into dst: collecting all where dst
// is a slice, keeping the first where it is not. That a name repeats shows at
// its second value; only then is the first known to be one element, and not a
// list of them.
func (r *repeats) decode(v Value, dst reflect.Value) error {
	r.count++
	if r.count == 1 {
		r.first = v
		return v.decode(dst)
	}
	if dst.Kind() != reflect.Slice || isBytes(dst.Type()) {
		return nil
	}
	if r.count == 2 {
		dst.Set(reflect.MakeSlice(dst.Type(), 0, 2))
		if err := r.first.appendTo(dst); err != nil {
			return err
		}
	}
	return v.appendTo(dst)
}

func (v Value) decodeStruct(dst reflect.Value) error {
	fields := fieldsOf(dst.Type())
	seen := make([]repeats, len(fields.index))
	for member := range v.All() {
		name := member.Name()
		i, ok := fields.find(name)
		if !ok {
			continue
		}
		field, err := dst.FieldByIndexErr(fields.index[i])
		if err != nil { // an embedded pointer that is nil
			field = allocate(dst, fields.index[i])
		}
		if err := seen[i].decode(member, field); err != nil {
			return within(name, err)
		}
	}
	return nil
}

// allocate is like FieldByIndex, but makes the embedded structs on the way
// that are behind nil pointers.
func allocate(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

// fields says which field of a struct type takes which name.
type fields struct {
	index  [][]int
	names  []string // of the values for them
	exact  map[string]int
	folded map[string]int // fields without a tag, by lower case
}

func (f *fields) find(name string) (int, bool) {
	if i, ok := f.exact[name]; ok {
		return i, true
	}
	i, ok := f.folded[strings.ToLower(name)]
	return i, ok
}

var fieldCache sync.Map // reflect.Type to *fields

func fieldsOf(t reflect.Type) *fields {
	if known, ok := fieldCache.Load(t); ok {
		f, _ := known.(*fields) // nothing else is in it
		return f
	}
	f := &fields{exact: map[string]int{}, folded: map[string]int{}}
	for _, field := range reflect.VisibleFields(t) {
		f.add(t, field)
	}
	fieldCache.Store(t, f)
	return f
}

func (f *fields) add(t reflect.Type, field reflect.StructField) {
	tag, tagged := field.Tag.Lookup("rpc")
	name, _, _ := strings.Cut(tag, ",")
	if name == "-" || !field.IsExported() || !reachable(t, field.Index) {
		return
	}
	if field.Anonymous && name == "" && isStruct(field.Type) {
		return // its fields stand for themselves
	}
	i := len(f.index)
	f.index = append(f.index, field.Index)
	if tagged && name != "" {
		f.names = append(f.names, name)
		f.claim(f.exact, name, i)
		return
	}
	f.names = append(f.names, field.Name)
	f.claim(f.exact, field.Name, i)
	f.claim(f.folded, strings.ToLower(field.Name), i)
}

// claim gives a name to a field. Of two that want it the outer one gets it, as
// in Go itself, or else the first.
func (f *fields) claim(names map[string]int, name string, i int) {
	if other, taken := names[name]; taken && len(f.index[other]) <= len(f.index[i]) {
		return
	}
	names[name] = i
}

func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// reachable reports whether every struct on the way to the field can be made: one
// behind an embedded pointer to an unexported type cannot. Fields of an embedded
// struct that was left out or has a name of its own are not reachable either.
func reachable(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		outer := t.Field(i)
		if outer.Tag.Get("rpc") != "" || outer.Type.Kind() == reflect.Pointer && !outer.IsExported() {
			return false
		}
		t = outer.Type
	}
	return true
}
