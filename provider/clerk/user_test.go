package clerk

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// TestCloneSharesNoMemory sets every field by reflection, so that a new field cannot be
// forgotten in clone.
func TestCloneSharesNoMemory(t *testing.T) {
	t.Parallel()
	var user User
	walk(t, reflect.ValueOf(&user).Elem(), func(text reflect.Value) { text.SetString("text of " + text.Type().Name()) })
	clone := user.clone()
	if diff := cmp.Diff(user, clone); diff != "" {
		t.Fatalf("clone differs (-want +got):\n%s", diff)
	}
	shared := map[*byte]bool{}
	walk(t, reflect.ValueOf(&user).Elem(), func(text reflect.Value) { shared[unsafe.StringData(text.String())] = true })
	walk(t, reflect.ValueOf(&clone).Elem(), func(text reflect.Value) {
		if shared[unsafe.StringData(text.String())] {
			t.Error("a text of the clone is in the memory of the original")
		}
	})
	if &user.Roles[0] == &clone.Roles[0] {
		t.Error("the clone shares a slice")
	}
}

// walk calls visit for every string in v. Slices without elements get one.
func walk(t *testing.T, v reflect.Value, visit func(text reflect.Value)) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		visit(v)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(t, v.Field(i), visit)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			walk(t, v.Index(i), visit)
		}
	case reflect.Bool:
	default:
		t.Fatalf("clone does not handle %s", v.Type())
	}
}
