package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/cache"
)

const (
	seenTokens = 1000 // asked for in turn
	seenRounds = 1500
	seenLimit  = time.Microsecond

	scaleRounds = 40
	scaleTime   = 20 * time.Millisecond
	// scaleLimit is what share of a perfect speed-up must be reached.
	scaleLimit = 0.8
)

// measureSeen measures a token that the guard has verified before: the hash and
// the look-up that the guard does, and the guard's exported method around them,
// which also makes a TokenInfo for go-sdk.
func measureSeen(i *issuer, t *table) error {
	raws, err := i.mint("RS256", 0, seenTokens)
	if err != nil {
		return err
	}
	guard, err := newGuard(i)
	if err != nil {
		return err
	}
	defer guard.Close()
	library, err := newGolangJWT(background, i.url)
	if err != nil {
		return err
	}
	now := time.Now()
	seen := cache.New[string](cache.Config{})
	texts := make([][]byte, len(raws))
	for n, raw := range raws {
		texts[n] = []byte(raw)
		seen.Put(sha256.Sum256(texts[n]), 1, raw, len(raw), now.Add(time.Hour))
		if _, err := guard.Verify(background, raw, nil); err != nil {
			return err
		}
	}
	lookUp := &contender{name: "gatehouse, hash and look-up", run: func(n int) bool {
		n %= seenTokens
		got, ok := seen.Get(sha256.Sum256(texts[n]), 1, now)
		return ok && len(got) == len(raws[n])
	}}
	whole := &contender{name: "gatehouse, whole guard", run: func(n int) bool {
		_, err := guard.Verify(background, raws[n%seenTokens], nil)
		return err == nil
	}}
	rival := &contender{name: "golang-jwt + keyfunc", run: func(n int) bool {
		_, err := library.verify(raws[n%seenTokens])
		return err == nil
	}}
	if err := takeTurns(seenRounds, lookUp, whole, rival); err != nil {
		return err
	}
	const what = "token seen before"
	r := row{what: what, who: lookUp.name, figure: lookUp.figure(), ratio: 1, goal: "≤ 1 us, 0 allocs"}
	if lookUp.median() > float64(seenLimit) || lookUp.allocs > 0 {
		r.fault = r.figure
	}
	t.add(r)
	t.add(row{what: what, who: whole.name, figure: whole.figure(), ratio: whole.median() / lookUp.median()})
	t.add(row{what: what, who: rival.name, figure: rival.figure(), ratio: rival.median() / lookUp.median()})
	t.add(measureScaling(lookUp.run))
	return nil
}

// measureScaling compares the look-ups of all cores with those of one. A loop
// that shares nothing shows what the machine could give at this moment.
func measureScaling(lookUp func(int) bool) row {
	spin := func(int) bool {
		var block [1024]byte
		return sha256.Sum256(block[:]) != [32]byte{}
	}
	all := runtime.GOMAXPROCS(0)
	var ours, ideal []float64
	for range scaleRounds {
		ideal = append(ideal, throughput(all, spin)/throughput(1, spin))
		ours = append(ours, throughput(all, lookUp)/throughput(1, lookUp))
	}
	o, p := median(ours), median(ideal)
	r := row{
		what: fmt.Sprintf("the same, %d cores over 1", all), who: "gatehouse, hash and look-up", ratio: o / p,
		figure: fmt.Sprintf("%.2f times as many; a hash alone %.2f", o, p),
		goal:   fmt.Sprintf("≥ %.2f of the hash", scaleLimit),
	}
	if r.ratio < scaleLimit {
		r.fault = "does not scale"
	}
	return r
}

// throughput is how many times a second the goroutines run f together.
func throughput(goroutines int, f func(int) bool) float64 {
	const chunk = 100 // runs between two looks at the clock
	var runs atomic.Int64
	var work sync.WaitGroup
	start := time.Now()
	for range goroutines {
		work.Go(func() {
			n := 0
			for ; time.Since(start) < scaleTime; n += chunk {
				for k := range chunk {
					f(n + k)
				}
			}
			runs.Add(int64(n))
		})
	}
	work.Wait()
	return float64(runs.Load()) / time.Since(start).Seconds()
}
