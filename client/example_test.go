package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"dmalloc/client"
)

// A program that shares a counter and a text with all others that know the address.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, "127.0.0.1:7000")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	a, err := c.Malloc(ctx, 100)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.WriteAt(ctx, []byte("hello"), a.Address); err != nil {
		log.Fatal(err)
	}
	before, err := c.FetchAdd(ctx, a.Address+16, 1)
	if err != nil {
		log.Fatal(err)
	}
	text := make([]byte, 5)
	if err := c.ReadAt(ctx, text, a.Address); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %d\n", text, before)
	if err := c.Free(ctx, a.Address); err != nil {
		log.Fatal(err)
	}
}
