// Package env reads settings from the environment of the process and, for those
// that are not set there, from a .env file. It never changes the environment.
package env

import (
	"cmp"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// An Env holds settings by name. White space around a value is removed, and an empty
// value counts as not set. The zero value has no settings; tests build one from a map,
// as Env{File: settings}. It is safe for concurrent use as long as File is not changed.
//
// Printing or logging an Env shows the names in File and no values, because some values
// are secrets.
type Env struct {
	// Environment looks up a variable of the process; nil means that there are none.
	Environment func(name string) (value string, ok bool)
	// File holds the settings of the .env file. Environment overrides it.
	File map[string]string
}

// Load returns the environment of the process and the settings of the .env file in
// dir; an empty dir means the working directory. The file need not exist. If it cannot
// be read, the error names its path and the line, and shows nothing of its content.
func Load(dir string) (*Env, error) {
	file, err := readFile(dir)
	if err != nil {
		return nil, err
	}
	return &Env{Environment: os.LookupEnv, File: file}, nil
}

// Get returns the setting, or "" if it is not set.
func (e Env) Get(name string) string {
	var value string
	if e.Environment != nil {
		value, _ = e.Environment(name)
	}
	return cmp.Or(strings.TrimSpace(value), strings.TrimSpace(e.File[name]))
}

// List returns the parts of a setting that are separated by commas, without the white space around
// them, or nil if it is not set.
func (e Env) List(name string) []string {
	value := e.Get(name)
	if value == "" {
		return nil
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// String returns the names of the settings in File.
func (e Env) String() string {
	return fileName + ": " + strings.Join(slices.Sorted(maps.Keys(e.File)), " ")
}

// GoString returns the same as String.
func (e Env) GoString() string { return e.String() }

// LogValue returns the same as String.
func (e Env) LogValue() slog.Value { return slog.StringValue(e.String()) }
