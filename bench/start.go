package main

import (
	"fmt"
	"time"
)

const (
	starts     = 15
	startLimit = 50 * time.Millisecond
)

// measureStart measures the time from the start of the process to the first successful
// answer to a signed-in tools/call. Keys are fetched over loopback.
func measureStart(i *issuer, t *table) error {
	raw, err := i.sign(i.draft("RS256", 0))
	if err != nil {
		return err
	}
	times := make(map[string][]float64)
	for range starts {
		for _, m := range measured {
			want := anonymous(nil)
			if !m.open {
				want = described(userID, tokenID(0))
			}
			took, err := startOnce(m, i, raw, want)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			times[m.name] = append(times[m.name], float64(took))
		}
	}
	for n, m := range measured {
		took, base := median(times[m.name]), median(times[measured[baseOf(measured, n)].name])
		r := row{what: "start to first successful answer", who: m.name, figure: micros(took), ratio: took / base, base: m.base}
		if m.role == "serve" {
			r.goal = "≤ 50 ms"
			if took > float64(startLimit) {
				r.fault = micros(took)
			}
		}
		t.add(r)
	}
	return nil
}

func startOnce(s server, i *issuer, raw, want string) (time.Duration, error) {
	began := time.Now()
	server, err := startChild(s, i)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	c, err := dial(server.address, modernVersion, raw)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if err := c.call(raw, want); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
