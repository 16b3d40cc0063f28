// Follows a log with golang.org/x/mod/sumdb, which knows nothing of it but its address and its key:
// opens the checkpoint, reads the tiles, proves consistency with an earlier checkpoint and the inclusion of a leaf.
//
//	follow URL LOG-VKEY OLD-NOTE-FILE INDEX LEAF-HEX
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type reader struct{ url string }

func (r reader) Height() int                         { return height }
func (r reader) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		// C2SP leaves out the height that this library puts behind "tile/".
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := get(r.url + "/" + path)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func open(text []byte, key note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(key))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != key.Name() {
		check(fmt.Errorf("the origin is %s", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: root}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	key, err := note.NewVerifier(os.Args[2])
	check(err)
	text, err := get(os.Args[1] + "/checkpoint")
	check(err)
	earlier, err := os.ReadFile(os.Args[3])
	check(err)
	old, tree := open(earlier, key), open(text, key)
	hashes := tlog.TileHashReader(tree, reader{os.Args[1]})
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	check(err)
	check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))

	index, err := strconv.ParseInt(os.Args[4], 10, 64)
	check(err)
	leaf, err := hex.DecodeString(os.Args[5])
	check(err)
	record, err := tlog.ProveRecord(tree.N, index, hashes)
	check(err)
	var hash tlog.Hash
	copy(hash[:], leaf)
	check(tlog.CheckRecord(record, tree.N, tree.Hash, index, hash))
	fmt.Println(tree.N)
}
