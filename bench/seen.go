package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	seenTokens = 1000 // verified in turn
	seenRounds = 1500
	seenLimit  = 1500 * time.Nanosecond

	scaleRounds = 40
	scaleTime   = 20 * time.Millisecond
	// scaleLimit is the share of a perfect speed-up that must be reached.
	scaleLimit = 0.8
)

// measureSeen measures Guard.Verify for tokens that the guard has verified before. It
// hashes the token, looks it up and makes a TokenInfo for go-sdk.
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
	for _, raw := range raws {
		if _, err := guard.Verify(background, raw, nil); err != nil {
			return err
		}
	}
	whole := &contender{name: "gatehouse, whole guard", run: func(n int) bool {
		_, err := guard.Verify(background, raws[n%seenTokens], nil)
		return err == nil
	}}
	rival := &contender{name: "golang-jwt + keyfunc", run: func(n int) bool {
		_, err := library.verify(raws[n%seenTokens])
		return err == nil
	}}
	if err := takeTurns(seenRounds, whole, rival); err != nil {
		return err
	}
	const what = "token seen before"
	r := row{what: what, who: whole.name, figure: whole.figure(), ratio: 1, goal: "≤ 1.5 us"}
	if whole.median() > float64(seenLimit) {
		r.fault = r.figure
	}
	t.add(r)
	t.add(row{what: what, who: rival.name, figure: rival.figure(), ratio: rival.median() / whole.median()})
	t.add(measureScaling(whole.run))
	return nil
}

// measureScaling compares the verifications of all cores with those of one: a lock that
// all cores share would show here. A loop that shares nothing shows what the machine can
// give at this moment.
func measureScaling(verify func(int) bool) row {
	spin := func(int) bool {
		var block [1024]byte
		return sha256.Sum256(block[:]) != [32]byte{}
	}
	all := runtime.GOMAXPROCS(0)
	var ours, ideal []float64
	for range scaleRounds {
		ideal = append(ideal, throughput(all, spin)/throughput(1, spin))
		ours = append(ours, throughput(all, verify)/throughput(1, verify))
	}
	o, p := median(ours), median(ideal)
	r := row{
		what: fmt.Sprintf("the same, %d cores over 1", all), who: "gatehouse, whole guard", ratio: o / p,
		figure: fmt.Sprintf("%.2f times as many; a hash alone %.2f", o, p),
		goal:   fmt.Sprintf("≥ %.2f of the hash", scaleLimit),
	}
	if r.ratio < scaleLimit {
		r.fault = "does not scale"
	}
	return r
}

// throughput returns how many times a second the goroutines run f together.
func throughput(goroutines int, f func(int) bool) float64 {
	const chunk = 100 // runs between two readings of the clock
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
