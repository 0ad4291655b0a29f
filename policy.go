package gatehouse

import "slices"

// policy is what the requirements decide about: who may do what, which scopes clients are asked
// for, and the resource metadata that names them. It is immutable, and replaced as a whole
// when a requirement is declared.
type policy struct {
	requirements
	scopes   [][]string // in challenges, by the index of the issuer
	metadata [][]byte   // by the index of the resource
}

// policy returns the current policy.
func (g *Guard) policy() *policy { return g.currentPolicy.Load() }

// declare adds requirements to those that hold already.
func (g *Guard) declare(added ...Requirement) error {
	g.declaring.Lock()
	defer g.declaring.Unlock()
	added = slices.Clone(added)
	for i := range added {
		added[i].Require = added[i].Require.clone()
	}
	declared := added
	if old := g.currentPolicy.Load(); old != nil {
		declared = slices.Concat(old.declared, added)
	}
	p := &policy{requirements: newRequirements(g.settings, declared)}
	for i := range g.settings.providers {
		p.scopes = append(p.scopes, g.settings.scopesOf(&g.settings.providers[i], declared))
	}
	for _, r := range g.resources {
		metadata, err := g.settings.resourceMetadata(r.url, p.scopes)
		if err != nil {
			return err
		}
		p.metadata = append(p.metadata, metadata)
	}
	g.currentPolicy.Store(p)
	g.observers.noteDeclared(added)
	g.listings.compareAgain()
	return nil
}

// scopesFor returns the scopes that those who sign in at i are asked to request.
func (g *Guard) scopesFor(i *issuer) []string { return g.policy().scopes[i.index] }
