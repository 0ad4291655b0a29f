package diagnose

import (
	"context"
	"slices"
)

// doctor is one run.
type doctor struct {
	cfg      Config
	target   string
	observed observed
	findings []Finding
}

func newDoctor(cfg Config) *doctor { return &doctor{cfg: cfg} }

func (d *doctor) examine(_ context.Context, target string) error {
	d.target = target
	return nil
}

func (d *doctor) report() *Report {
	return &Report{
		Version:  Version,
		Target:   d.target,
		Findings: append([]Finding{}, slices.Clone(d.findings)...),
		Clients:  append([]Client{}, judgeClients(&d.observed)...),
	}
}
