// Command bench measures what sign-in costs, compared with the same server without it
// and with other libraries, and prints one table.
//
//	go run .
//	go run . -only calls -rounds 40
//	go run . -only calls -patched PROGRAM
//	go run . -only gateway
//	go run . -only calls -servers go-sdk,guard -profile DIRECTORY
//
// Everything in one table comes from one run, in which all contenders take turns, so that
// other load on the machine slows all of them alike. The ratios of the medians are what
// counts; the times are those of one machine in one minute.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// section is one part of the table.
type section struct {
	name    string
	measure func(*issuer, *table) error
	extra   bool // whether it is measured only if it is named
}

// sections are in the order of the table.
func sections(calls callSettings) []section {
	return []section{
		{name: "first", measure: measureFirstSeen},
		{name: "seen", measure: measureSeen},
		{name: "rejected", measure: measureRejected},
		{name: "calls", measure: func(i *issuer, t *table) error { return measureCalls(i, t, calls) }},
		{name: "memory", measure: measureMemory},
		{name: "start", measure: measureStart},
		{name: "gateway", measure: func(i *issuer, t *table) error { return measureGateway(i, t, calls.rounds) }, extra: true},
	}
}

func main() {
	run := measure
	if role := os.Getenv(roleVariable); role != "" {
		run = func() error { return runChild(role) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func measure() error {
	only := flag.String("only", "", "comma-separated sections: first, seen, rejected, calls, memory, start, gateway (default all but gateway)")
	var calls callSettings
	flag.IntVar(&calls.rounds, "rounds", 40, "rounds of the sections calls and gateway")
	flag.StringVar(&calls.roles, "servers", "", "comma-separated roles of the servers in the section calls, of which the first is the base (default all)")
	flag.StringVar(&calls.patched, "patched", "", "path of another build of this program, such as one with the changes to go-sdk of docs/upstream.md; its servers join the section calls")
	flag.StringVar(&calls.profiles, "profile", "", "directory for CPU and allocation profiles of the servers in the section calls")
	flag.Parse()

	issuer, err := newIssuer()
	if err != nil {
		return err
	}
	chosen, err := choose(sections(calls), *only)
	if err != nil {
		return err
	}
	startedAt := time.Now()
	var t table
	for _, s := range chosen {
		if err := s.measure(issuer, &t); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s done after %s\n", s.name, time.Since(startedAt).Round(time.Second))
	}
	fmt.Printf("%s, %s/%s, %s, %d CPUs; %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		cmp.Or(processor(), "unknown processor"), runtime.NumCPU(), time.Now().Format(time.DateOnly))
	return t.write(os.Stdout)
}

// choose returns the sections with the comma-separated names, or all that are not extra if names is empty.
func choose(all []section, names string) ([]section, error) {
	if names == "" {
		return slices.DeleteFunc(slices.Clone(all), func(s section) bool { return s.extra }), nil
	}
	var chosen []section
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(s section) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no section %q; see -help", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// processor returns the name of the processor on Linux, or "".
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
