package quote

// Distance returns how many bytes must be inserted, removed or replaced to make a of b: the
// smaller it is, the more likely one was meant where the other was written. It takes time in
// proportion to the product of the lengths, which the caller must bound.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// maxTypos is how much a name may differ from the one that [Nearest] suggests.
const maxTypos = 2

// Nearest returns the candidate that was most likely meant by name, or "" if none is similar.
func Nearest(name string, candidates []string) string {
	best, distance := "", maxTypos+1
	if len(name) > MaxBytes {
		return best
	}
	for _, candidate := range candidates {
		if d := Distance(name, candidate); d < distance && d < len(candidate) {
			best, distance = candidate, d
		}
	}
	return best
}
