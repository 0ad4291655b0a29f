package signin

import "slices"

// union returns the scopes of both lists, each once, in order.
func union(a, b []string) []string {
	var all []string
	for _, scope := range slices.Concat(a, b) {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// missing returns the wanted scopes that are not in held.
func missing(wanted, held []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool { return slices.Contains(held, scope) })
}

// inOrder returns the scopes: first those of the list first, in its order, and then the
// others, sorted.
func inOrder(scopes, first []string) []string {
	var ordered []string
	for _, scope := range first {
		if slices.Contains(scopes, scope) {
			ordered = append(ordered, scope)
		}
	}
	return union(ordered, slices.Sorted(slices.Values(scopes)))
}
