package main

// maxSurvivors is the maximum length of the list of survivors.
const maxSurvivors = 20

// survivor is a mutant that no test kills.
type survivor struct {
	place
	reason string // why no test can or should kill it
}

// survivors lists the mutants that no test kills. To add one, copy the line that the
// program prints, and give the reason in one sentence.
var survivors = []survivor{}

// listed reports whether a mutant is in the list.
func listed(m mutant) bool {
	for _, s := range survivors {
		if s.place == m.place {
			return true
		}
	}
	return false
}
