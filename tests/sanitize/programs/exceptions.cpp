/* C++ exceptions leave functions half-way, too. */
#include <cstdio>
#include <stdexcept>
#include <vector>

struct Noisy {
    int n;
    explicit Noisy(int n) : n(n) {}
    ~Noisy() { std::printf("%d", n); }
};

__attribute__((noinline)) static int deep(int n)
{
    Noisy noisy(n);
    float f[8];
    for (int i = 0; i < 8; i++)
        f[i] = n * 0.5f + i;
    if (n == 0)
        throw std::runtime_error("bottom");
    int found = deep(n - 1);
    for (int i = 0; i < 8; i++)
        found += (int)f[i];
    return found;
}

struct Base {
    virtual ~Base() = default;
    virtual int value(int) const = 0;
};
struct One : Base {
    int value(int n) const override { return n + 1; }
};
struct Two : Base {
    int value(int n) const override { return n > 3 ? throw n : n * 2; }
};

int main()
{
    std::vector<Base *> all = {new One, new Two, new One};
    int sum = 0;
    for (int n = 0; n < 6; n++)
        try {
            for (const Base *each : all)
                sum += each->value(n);
            sum += deep(n);
        } catch (const std::exception &e) {
            sum += e.what()[0];
        } catch (int thrown) {
            sum -= thrown;
        }
    std::printf(" %d\n", sum);
    for (Base *each : all)
        delete each;
    return 0;
}

/* What the C++ library wants of a board. */
extern "C" {
void *__dso_handle;
int getentropy(void *, size_t) { return -1; }
}
