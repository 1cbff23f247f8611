/* Assembly with conventions of its own, none of which breaks the rules at its public entry. */
        .syntax unified
        .thumb
        .text

        .global assembly_entry
        .type assembly_entry, %function
        .thumb_func
assembly_entry:
        push    {r4, r5, r6, lr}
        bl      private_pair            /* changes r5 and r6 for its caller */
        add     r4, r5, r6
        adr     r3, back                /* a call by hand */
        orr     lr, r3, #1
        ldr     r3, =by_hand
        bx      r3
        .align  2
back:
        add     r4, r4, r0
        bl      runs_on
        add     r4, r4, r0
        bl      leaves_for_its_caller
        udf     #0                      /* never comes back here */
        .size assembly_entry, . - assembly_entry

private_pair:                           /* no function symbol: part of its caller */
        adds    r5, r0, #1
        adds    r6, r0, #2
        bx      lr

        .type by_hand, %function
        .thumb_func
by_hand:
        push    {lr}
        lsls    r0, r0, #1
        pop     {r1}
        bx      r1
        .size by_hand, . - by_hand

        .type runs_on, %function
        .thumb_func
runs_on:
        adds    r0, r0, #3
        .size runs_on, . - runs_on
        .type runs_on_too, %function
        .thumb_func
runs_on_too:
        adds    r0, r0, #4
        cmp     r0, #100
        it      lt
        bxlt    lr
        movs    r0, #0
        bx      lr
        .size runs_on_too, . - runs_on_too

        .type leaves_for_its_caller, %function
        .thumb_func
leaves_for_its_caller:                  /* as libgcc does on errors */
        mov     r0, r4
        pop     {r4, r5, r6, pc}
        .size leaves_for_its_caller, . - leaves_for_its_caller
