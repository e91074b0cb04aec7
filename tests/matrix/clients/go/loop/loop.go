// Package loop makes one call for each line of its standard input, and answers with a line of JSON.
package loop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type line struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Run calls `call` for each line, until there are no more.
func Run(call func() error) {
	out := json.NewEncoder(os.Stdout)
	fmt.Println(`{"ready": true}`)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		said := line{OK: true}
		if err := call(); err != nil {
			said = line{Error: err.Error()}
		}
		if out.Encode(said) != nil {
			return
		}
	}
}
