"""Comparison sorting and selection of pairs of keys and indices: heap, introsort, introselect, quickselect.

For short rows these are as quick as counting digits, and they leave equal elements in the same places as the
C++ library does, so that indices of ties agree with programs that rest on it. Sources: Musser, Introspective
Sorting and Selection Algorithms (1997); Hoare, Algorithm 65 (1961); Knuth, The Art of Computer Programming 3,
5.2.3.
"""

from __future__ import annotations

from .native import local, native
from .types import i64, u32

THRESHOLD = 16  # parts up to this length are left to the last insertion sort


@native
def rank_key(S, word):
    """What of a word decides the order."""
    if S.packed:
        return word >> 32
    else:
        return word


@native
def less(S, keys, i, j):
    return rank_key(S, keys[i]) < rank_key(S, keys[j])


@native
def swap(S, keys, places, i, j):
    key = keys[i]
    keys[i] = keys[j]
    keys[j] = key
    if not S.packed:
        place = places[i]
        places[i] = places[j]
        places[j] = place


@native
def assign(S, keys, places, to, i):
    keys[to] = keys[i]
    if not S.packed:
        places[to] = places[i]


# -- heap: the worst of the kept pairs comes first -----------------------------------------------------------


@native
def sift(S, keys, places, hole, length, key, place):
    """Put a pair into a heap with a hole: the hole sinks to the bottom, then the pair rises."""
    top = hole
    child = hole
    while child < (length - 1) // 2:
        child = 2 * (child + 1)
        if less(S, keys, child, child - 1):
            child -= 1
        assign(S, keys, places, hole, child)
        hole = child
    if (length & 1) == 0:
        if child == (length - 2) // 2:
            child = 2 * (child + 1)
            assign(S, keys, places, hole, child - 1)
            hole = child - 1
    parent = (hole - 1) // 2
    while hole > top:
        if not (rank_key(S, keys[parent]) < rank_key(S, key)):
            break
        assign(S, keys, places, hole, parent)
        hole = parent
        parent = (hole - 1) // 2
    keys[hole] = key
    if not S.packed:
        places[hole] = place


@native
def place_at(S, places, i):
    if S.packed:
        return u32(0)
    else:
        return places[i]


@native
def make_heap(S, keys, places, length):
    if length > 1:
        parent = (length - 2) // 2
        while parent >= 0:
            sift(S, keys, places, parent, length, keys[parent], place_at(S, places, parent))
            parent -= 1


@native
def sort_heap(S, keys, places, length):
    """Turn a heap into ascending order."""
    last = length - 1
    while last > 0:
        key = keys[last]
        place = place_at(S, places, last)
        assign(S, keys, places, last, i64(0))
        sift(S, keys, places, i64(0), last, key, place)
        last -= 1


# -- partition -----------------------------------------------------------------------------------------------


@native
def median_first(S, keys, places, to, a, b, c):
    """Swap the median of three pairs to a place."""
    pick = a
    if less(S, keys, a, b):
        if less(S, keys, b, c):
            pick = b
        else:
            if less(S, keys, a, c):
                pick = c
    else:
        if not less(S, keys, a, c):
            pick = c if less(S, keys, b, c) else b
    swap(S, keys, places, to, pick)


@native
def partition(S, keys, places, first, last):
    """Split [first, last) around the median of three; gives where the upper part starts."""
    median_first(S, keys, places, first, first + 1, first + (last - first) // 2, last - 1)
    low = first + 1
    high = last
    while True:
        while less(S, keys, low, first):
            low += 1
        high -= 1
        while less(S, keys, first, high):
            high -= 1
        if low >= high:
            break
        swap(S, keys, places, low, high)
        low += 1
    return low


@native
def insertion_range(S, keys, places, first, last):
    for i in range(first + 1, last, unroll=None):
        key = keys[i]
        place = place_at(S, places, i)
        j = i
        while j > first:
            if not (rank_key(S, key) < rank_key(S, keys[j - 1])):
                break
            assign(S, keys, places, j, j - 1)
            j -= 1
        keys[j] = key
        if not S.packed:
            places[j] = place


@native
def depth_of(n):
    """Twice the base-2 logarithm: the depth at which introspection gives up on partitions."""
    depth = i64(0)
    rest = n
    while rest > 1:
        rest = rest >> 1
        depth += 2
    return depth


@native
def introsort(S, keys, places, n):
    """Sort n pairs by their keys, equal keys in no particular order."""
    stack = local(i64, 3 * 64)
    stack[0] = 0
    stack[1] = n
    stack[2] = depth_of(n)
    height = i64(1)
    while height > 0:
        height -= 1
        first, last, depth = stack[3 * height], stack[3 * height + 1], stack[3 * height + 2]
        while last - first > THRESHOLD:
            if depth == 0:
                make_heap(S, keys + first, places + first, last - first)
                sort_heap(S, keys + first, places + first, last - first)
                break
            depth -= 1
            cut = partition(S, keys, places, first, last)
            stack[3 * height] = cut
            stack[3 * height + 1] = last
            stack[3 * height + 2] = depth
            height += 1
            last = cut
    insertion_range(S, keys, places, i64(0), n)


@native
def nth_element(S, keys, places, nth, n):
    """Bring the pair of rank nth to its place, smaller ones before it."""
    first = i64(0)
    last = n
    depth = depth_of(n)
    while last - first > 3:
        if depth == 0:
            make_heap(S, keys + first, places + first, last - first)
            sort_heap(S, keys + first, places + first, last - first)
            first = last
            break
        depth -= 1
        cut = partition(S, keys, places, first, last)
        if cut <= nth:
            first = cut
        else:
            last = cut
    insertion_range(S, keys, places, first, last)


@native
def quickselect(S, keys, places, rank, n):
    """Bring the pair of a rank to its place (Hoare's FIND with the median of three)."""
    low = i64(0)
    high = n - 1
    while high > low:
        if high == low + 1:
            if less(S, keys, high, low):
                swap(S, keys, places, low, high)
            break
        swap(S, keys, places, (low + high) >> 1, low + 1)
        if less(S, keys, high, low + 1):
            swap(S, keys, places, low + 1, high)
        if less(S, keys, high, low):
            swap(S, keys, places, low, high)
        if less(S, keys, low, low + 1):
            swap(S, keys, places, low + 1, low)
        i = low + 1
        j = high
        while True:
            i += 1
            while less(S, keys, i, low):
                i += 1
            j -= 1
            while less(S, keys, low, j):
                j -= 1
            if j < i:
                break
            swap(S, keys, places, i, j)
        swap(S, keys, places, low, j)
        if j <= rank:
            low = i
        if j >= rank:
            high = j - 1
