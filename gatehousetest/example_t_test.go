package gatehousetest_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// t stands for the *testing.T that a test has, which an example has not. What it
// reports goes to the output of the example, which then differs from what is expected.
var t testing.TB = exampleT{}

type exampleT struct{ testing.TB }

func (exampleT) Helper()                           {}
func (exampleT) Context() context.Context          { return context.Background() }
func (exampleT) Cleanup(func())                    {} // the end of the process closes everything
func (exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func (exampleT) Fatal(args ...any) {
	fmt.Println(args...)
	runtime.Goexit()
}

func (t exampleT) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }
