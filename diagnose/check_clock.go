package diagnose

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// maxMachineSkew is the difference to this machine's clock that is reported. This machine
// takes no part in the check of a token, so it is larger than the leeway of a guard.
const maxMachineSkew = 2 * time.Minute

// skew returns how much later the clock of the server is than this machine's, or nil if the
// answer has no date. A date has whole seconds, and the answer took a while.
func (d *doctor) skew(a *answer) *time.Duration {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil || a.header.Get("Age") != "" {
		return nil
	}
	difference := date.Sub(a.at)
	return &difference
}

// checkClocks compares the clocks of the server and the issuer, between which exp and nbf of
// a token count.
func (d *doctor) checkClocks() {
	host := d.subject()
	if u, err := url.Parse(host); err == nil {
		host = u.Host
	}
	endpoint, issuer := d.endpointSkew, d.issuerSkew
	switch {
	case endpoint != nil && issuer != nil && absolute(*endpoint-*issuer) > gatehouse.DefaultLeeway+2*time.Second:
		d.found("clock.differs", fmt.Sprintf("by their Date headers, the server is %s and the issuer %s",
			describeSkew(*endpoint), describeSkew(*issuer)),
			"difference", seconds(absolute(*endpoint-*issuer)))
		return
	case endpoint == nil && issuer == nil:
		if !d.blocked("clock") && d.subject() != "" {
			d.skip("clock", "no answer has a Date header", "")
		}
		return
	}
	known := endpoint
	if known == nil {
		known = issuer
	}
	if absolute(*known) > maxMachineSkew {
		d.found("clock.machine", fmt.Sprintf("by its Date header, %s is %s", host, describeSkew(*known)), "host", host,
			"difference", seconds(absolute(*known)))
		return
	}
	d.ok("clock", "by its Date header, %s is %s", host, describeSkew(*known))
}

func absolute(d time.Duration) time.Duration { return d.Abs() }

func describeSkew(d time.Duration) string {
	switch {
	case d.Abs() <= 2*time.Second:
		return "in step with this machine"
	case d < 0:
		return seconds(-d) + " behind this machine"
	}
	return seconds(d) + " ahead of this machine"
}
