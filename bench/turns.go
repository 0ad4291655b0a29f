package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

const (
	// batchTime is about how long a contender works before the next one's turn: short
	// compared with the time slices of the operating system, so that few batches are
	// disturbed, and long compared with reading the clock.
	batchTime = 150 * time.Microsecond
	maxBatch  = 512
	// allocationRuns is how many runs the allocations are averaged over.
	allocationRuns = 64
)

// contender is one way to do what is measured. run does it once and reports whether the
// outcome is right; n counts the runs of this contender.
type contender struct {
	name string
	run  func(n int) bool

	batch  int // runs of a turn; 0 means as many as fit into batchTime
	runs   int
	times  []float64 // ns for one run, of each turn
	allocs float64
	bytes  float64
}

// takeTurns measures the contenders in turn, rounds times. Their order is another one in each
// round: a contender that ran similar code just before finds it in the processor's caches.
func takeTurns(rounds int, contenders ...*contender) error {
	for _, c := range contenders {
		if err := c.prepare(); err != nil {
			return err
		}
	}
	for range rounds {
		for _, n := range rand.Perm(len(contenders)) {
			c := contenders[n]
			took, err := c.turn(c.batch)
			if err != nil {
				return err
			}
			c.times = append(c.times, float64(took)/float64(c.batch))
		}
	}
	return nil
}

// prepare warms c up, counts its allocations and chooses its batch.
func (c *contender) prepare() error {
	var before, after runtime.MemStats
	if _, err := c.turn(1); err != nil {
		return err
	}
	runtime.ReadMemStats(&before)
	took, err := c.turn(allocationRuns)
	runtime.ReadMemStats(&after)
	// Anything else that the process allocates meanwhile is less than one a run.
	c.allocs = float64((after.Mallocs - before.Mallocs) / allocationRuns)
	c.bytes = float64((after.TotalAlloc - before.TotalAlloc) / allocationRuns)
	if c.batch == 0 {
		c.batch = int(min(max(batchTime*allocationRuns/max(took, 1), 1), maxBatch))
	}
	return err
}

func (c *contender) turn(batch int) (time.Duration, error) {
	first := c.runs
	c.runs += batch
	start := time.Now()
	for n := first; n < first+batch; n++ {
		if !c.run(n) {
			return 0, fmt.Errorf("%s: wrong outcome in run %d", c.name, n)
		}
	}
	return time.Since(start), nil
}

func (c *contender) median() float64 { return median(c.times) }

// figure returns the time and the allocations of one run.
func (c *contender) figure() string {
	return fmt.Sprintf("%s, %.0f allocs, %.0f B", micros(c.median()), c.allocs, c.bytes)
}
