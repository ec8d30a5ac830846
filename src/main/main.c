#include <stdio.h>

int main(void)
{
    puts("postern");
    return 0;
}
