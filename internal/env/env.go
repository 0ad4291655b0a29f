// Package env reads settings from the environment of the process, or else from
// a .env file. It never changes the environment.
package env

import (
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// FileName is the name of the file that [Load] reads.
const FileName = ".env"

// An Env holds settings by name. Values are without surrounding white space,
// and an empty one counts as not set. The zero value has no settings; tests
// build one from a map, as Env{File: settings}. It is safe for concurrent use as
// long as nobody changes File.
//
// Printed or logged, an Env shows names and no values: some are secrets.
type Env struct {
	// Environment looks up a variable of the process; nil means that there are none.
	Environment func(name string) (value string, ok bool)
	// File holds what the .env file says. The environment goes before it.
	File map[string]string
}

// Load returns the environment of the process, completed by the .env file in
// dir (empty for the working directory). That there is no file is no error. The
// error of a file that cannot be read names its path and the line, never what
// stands there.
func Load(dir string) (*Env, error) {
	file, err := readFile(dir)
	if err != nil {
		return nil, err
	}
	return &Env{Environment: os.LookupEnv, File: file}, nil
}

// Lookup returns the setting, and whether it is set.
func (e Env) Lookup(name string) (value string, ok bool) {
	value, source := e.find(name)
	return value, source != ""
}

// Get returns the setting, or "" if it is not set.
func (e Env) Get(name string) string {
	value, _ := e.find(name)
	return value
}

// Source returns where the setting comes from: "environment", ".env", or "" if
// it is not set.
func (e Env) Source(name string) string {
	_, source := e.find(name)
	return source
}

func (e Env) find(name string) (value, source string) {
	if e.Environment != nil {
		value, _ := e.Environment(name)
		if value = strings.TrimSpace(value); value != "" {
			return value, "environment"
		}
	}
	if value = strings.TrimSpace(e.File[name]); value != "" {
		return value, FileName
	}
	return "", ""
}

// String returns the names of the settings of the file.
func (e Env) String() string {
	return FileName + ": " + strings.Join(slices.Sorted(maps.Keys(e.File)), " ")
}

// GoString returns what String does.
func (e Env) GoString() string { return e.String() }

// LogValue returns what String does.
func (e Env) LogValue() slog.Value { return slog.StringValue(e.String()) }
