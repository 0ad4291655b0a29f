package serve

import (
	"log/slog"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
)

const (
	// heapFloor is how much of the heap counts as used before anything is.
	heapFloor = 32 << 20
	// smallContainer is the limit of memory, in bytes, below which a container
	// keeps Go's defaults: there memory is dearer than time.
	smallContainer = 256 << 20

	defaultGCPercent   = 100
	defaultMemoryLimit = math.MaxInt64
)

// ballast is heap that is never touched, so that the system gives no memory for
// it. The collector counts it all the same: it runs when as much again has been
// allocated, instead of 4 MB. A call allocates half a megabyte and leaves next
// to nothing alive, so at Go's defaults the collector runs with every few calls
// and takes a third of their time and more. Unlike a higher GOGC, ballast does not multiply
// what a program with much live data takes.
var ballast = sync.OnceValue(func() []byte { return make([]byte, heapFloor) })

// raiseHeapFloor makes the collector of this process run less often, if nobody
// has said otherwise, and tells logger so.
func raiseHeapFloor(logger *slog.Logger) {
	if why := keepCollector(); why != "" {
		logger.Debug("heap floor left at Go's default", "reason", why)
		return
	}
	logger.Info("heap floor raised for fewer garbage collections", "bytes", len(ballast()),
		"hint", "to decide yourself, set Config.NoHeapFloor, GOGC or GOMEMLIMIT")
}

// keepCollector says why the collector must stay as it is, or nothing.
func keepCollector() string {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return name + " is set"
		}
	}
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(sample)
	switch {
	case sample[0].Value.Uint64() != defaultGCPercent:
		return "debug.SetGCPercent was called"
	case sample[1].Value.Uint64() != defaultMemoryLimit:
		return "debug.SetMemoryLimit was called"
	case containerMemory(os.ReadFile) < smallContainer:
		return "the container is small"
	}
	return ""
}

// containerMemory returns the limit of memory, in bytes, of the container that
// this process runs in: that of cgroup v2 or v1, as seen from inside. Without a
// limit it is the largest number.
func containerMemory(readFile func(name string) ([]byte, error)) uint64 {
	limit := uint64(math.MaxUint64)
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := readFile(name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // or "max"
			limit = min(limit, n)
		}
	}
	return limit
}
