package operator

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

const (
	defaultProfile = 30 * time.Second
	maxProfile     = time.Minute
	defaultTrace   = time.Second
	maxTrace       = 10 * time.Second
)

// servePProf serves the profiles of this process, as "go tool pprof" and "go tool trace" read
// them. Package net/http/pprof is not used: a program that imports it serves profiles on
// [http.DefaultServeMux], which may be that of a public server. It also serves the command line,
// which may contain secrets.
func servePProf(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, PProfPath)
	switch name {
	case "":
		servePProfIndex(w)
	case "profile":
		serveTimed(w, r, defaultProfile, maxProfile, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	case "trace":
		serveTimed(w, r, defaultTrace, maxTrace, func() error { return trace.Start(w) }, trace.Stop)
	default:
		p := pprof.Lookup(name)
		if p == nil {
			reject(w, http.StatusNotFound, "the profile is not known; "+PProfPath+" lists them")
			return
		}
		serveProfile(w, r, p)
	}
}

func servePProfIndex(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "go tool pprof http://localhost:PORT%sNAME\n\n", PProfPath)
	for _, p := range pprof.Profiles() {
		fmt.Fprintf(w, "%s\t%d\n", p.Name(), p.Count())
	}
	fmt.Fprintf(w, "profile\tof the processor; ?seconds=%d, at most %d\n", int(defaultProfile.Seconds()), int(maxProfile.Seconds()))
	fmt.Fprintf(w, "trace\tfor \"go tool trace\"; ?seconds=%d, at most %d\n", int(defaultTrace.Seconds()), int(maxTrace.Seconds()))
}

func serveProfile(w http.ResponseWriter, r *http.Request, p *pprof.Profile) {
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	if debug < 0 || debug > 2 {
		debug = 0
	}
	if p.Name() == "heap" && r.FormValue("gc") != "" {
		runtime.GC()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	p.WriteTo(w, debug)
}

// serveTimed records for the seconds of the request, or until its client leaves.
func serveTimed(w http.ResponseWriter, r *http.Request, length, longest time.Duration, start func() error, stop func()) {
	if text := r.FormValue("seconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if length = time.Duration(seconds) * time.Second; err != nil || seconds < 1 || length > longest {
			reject(w, http.StatusBadRequest, fmt.Sprintf("got seconds=%.20q, want 1 to %d", text, int(longest.Seconds())))
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(); err != nil {
		reject(w, http.StatusConflict, "another recording runs; try again when it has ended")
		return
	}
	defer stop()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
