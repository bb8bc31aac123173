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

// Decode stores the value in the variable that dst points to, by rules similar to
// those of encoding/json:
//
//   - A Struct is decoded into a Go struct. A field receives the value with the name
//     in its tag, `rpc:"URI"`. A field without a tag receives the value with its Go
//     name, regardless of case. A field with the tag `rpc:"-"` is skipped. Fields of
//     embedded structs are treated as fields of the outer struct. Values without a
//     field are ignored, and fields without a value are not changed. If a name
//     repeats, a slice receives all its values, any other field the first.
//   - A Struct is also decoded into a map with string keys. If a name repeats, a map
//     of slices receives all its values, any other map the first.
//   - A Struct is also decoded into [Members], which receives all values.
//   - The rows of a list (see [Value.Rows]) are decoded into a slice. A single
//     record becomes a slice with one element.
//   - A number is decoded into any integer type, read as signed or unsigned
//     according to the type, into any float type, or into a bool, which is true
//     unless the number is 0. A number beyond the range of the type, or with a
//     fraction for an integer type, is an error.
//   - A String or Bytes is decoded into a string, a []byte, or an
//     [encoding.TextUnmarshaler].
//   - A null sets a pointer, slice, map or interface to nil. It does not change
//     variables of other types.
//   - Any value is decoded into a Value, and into an any as [Value.Interface]
//     returns it.
//
// [Encode] is the inverse. Decode stops at the first value that does not fit the Go
// type and returns a [*DecodeError]; values that were stored before remain. It
// returns another error if v is the zero Value or dst is not a non-nil pointer.
func (v Value) Decode(dst any) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode into %T: the destination must be a non-nil pointer", dst)
	}
	if !v.Exists() {
		return fmt.Errorf("decode into %T: the value is absent", dst)
	}
	return v.decode(p.Elem())
}

// DecodeError is the error of a value that does not fit the Go type of its
// destination.
type DecodeError struct {
	// Path locates the value: the names of the values around it and its own, joined
	// by dots. It is empty for a value outside of any struct.
	Path string
	// Kind is the kind of the value.
	Kind Kind
	// Type is the Go type of the destination.
	Type reflect.Type
	// Err is the cause, for example the error of an [encoding.TextUnmarshaler]. It
	// is nil if Kind does not fit Type at all.
	Err error
}

// Error returns the path of the value and the reason why it does not fit.
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

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

func (v Value) misfit(t reflect.Type, err error) error {
	return &DecodeError{Kind: v.Kind(), Type: t, Err: err}
}

// within adds name in front of the path of a DecodeError, and returns err.
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

// repeats counts the values of one name in a struct.
type repeats struct {
	count int
	first Value
}

// decode decodes the next value of the name into dst. A slice collects all values,
// any other type keeps the first. The first value alone may be a list of elements;
// if a second value follows, the first is one element instead, and is decoded again.
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

// allocate is like [reflect.Value.FieldByIndex], but allocates the embedded structs
// behind nil pointers.
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

// fields maps the names of values to the fields of a struct type.
type fields struct {
	index  [][]int
	names  []string // names of the values, by field
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
		f, _ := known.(*fields) // all values in the cache have this type
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
		return // its fields are added one by one
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

// claim assigns a name to field i. If two fields have the same name, the outer one
// gets it, as in Go itself, and of two at the same depth the first.
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

// reachable reports whether the field at that index can be set as a field of the
// outer struct. It cannot if reflection cannot allocate a struct on the way, which
// is behind an embedded pointer to an unexported type. It is not a field of the
// outer struct if an embedded struct on the way has a tag.
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
